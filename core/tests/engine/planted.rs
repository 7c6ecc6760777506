//! The bank of planted bugs stays one: each of its patches still applies to the tree.

use std::path::Path;
use std::process::Command;

#[test]
fn planted_bugs_apply() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let bank = root.join("planted-bugs");
    let mut count = 0;
    for entry in std::fs::read_dir(&bank).expect("the bank") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a patch");
        for line in ["Report: ", "Bug: ", "Suite: "] {
            let told = text.lines().any(|other| other.starts_with(line));
            assert!(told, "{} has no line {line:?}", path.display());
        }
        let outcome = Command::new("git")
            .args(["apply", "-C1", "--check"])
            .arg(&path)
            .current_dir(root)
            .output();
        let Ok(outcome) = outcome else { return println!("skipped: there is no git") };
        assert!(
            outcome.status.success(),
            "{} does not apply any more: make it again\n{}",
            path.display(),
            String::from_utf8_lossy(&outcome.stderr)
        );
        count += 1;
    }
    assert!(count >= 20, "{count} planted bugs");
}
