//! Files in folders that others may write to: modes, and links planted under the names of sidecars.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rshelve_core::base::options::DatabaseOptions;
use rshelve_core::engine::Engine;

use crate::harness::{table, value_of};

const FOLDER: &str = "RSHELVE_SECURITY_FOLDER";

/// Opens a database, writes beyond one file of the log, and leaves it open.
fn open_and_write(path: &Path, file_mode: u32) -> Engine {
    let options = DatabaseOptions {
        file_mode,
        log_segment_bytes: 64 << 10,
        checkpoint_log_bytes: 64 << 10,
        ..DatabaseOptions::default()
    };
    let engine = Engine::open(path, options).expect("it opens");
    let eggs = engine.create_table("eggs", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    for key in 0..300_u32 {
        session.put(&eggs, &key.to_be_bytes(), &value_of(900, 1)).expect("a put");
    }
    engine
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn files_have_the_mode_asked_for_less_the_umask() {
    if let Ok(folder) = std::env::var(FOLDER) {
        // In the process with the umask of 027.
        for (name, asked, expected) in [("a", 0o666, 0o640), ("b", 0o600, 0o600)] {
            let path = Path::new(&folder).join(name);
            let engine = open_and_write(&path, asked);
            let mut logs = 0;
            for entry in fs::read_dir(&folder).expect("a folder") {
                let file = entry.expect("an entry").path();
                let file_name = file.file_name().and_then(|name| name.to_str()).expect("a name");
                if file_name == name || file_name.starts_with(&format!("{name}-wal")) {
                    logs += u32::from(file_name != name);
                    assert_eq!(mode(&file), expected, "{}", file.display());
                }
            }
            assert!(logs > 0, "there is no log");
            // It names the process and nothing else.
            assert_eq!(mode(&Path::new(&folder).join(format!("{name}-lock"))), 0o640);
            engine.close().expect("a close");
        }
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = std::env::current_exe().expect("this program");
    let outcome = Command::new("sh")
        .args(["-c", "umask 027; exec \"$0\" \"$@\""])
        .arg(program)
        .args(["--exact", "security::files_have_the_mode_asked_for_less_the_umask", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}");
}

/// Somebody who may write to the folder puts links to a file of ours under the names that the sidecars
/// will get.
#[test]
fn links_under_sidecar_names_are_not_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let victim = folder.path().join("victim");
    fs::write(&victim, b"precious").expect("a file");
    let path = folder.path().join("spam");
    let plant = |name: &str| symlink(&victim, folder.path().join(name)).expect("a link");
    plant("spam-lock");
    for number in 1..4 {
        plant(&format!("spam-wal{number:08}"));
    }
    plant("spam-new-0123456789abcdef");
    let engine = open_and_write(&path, 0o666);
    assert_eq!(fs::read(&victim).expect("the file"), b"precious");
    // New ones, under the names that the log goes on with.
    for number in 4..9 {
        let _ = symlink(&victim, folder.path().join(format!("spam-wal{number:08}")));
    }
    drop(engine);
    let engine = open_and_write(&path, 0o666);
    engine.close().expect("a close");
    assert_eq!(fs::read(&victim).expect("the file"), b"precious");
    assert!(!fs::symlink_metadata(&path).expect("the database").is_symlink());
}
