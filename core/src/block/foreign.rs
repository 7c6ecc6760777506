//! Guesses what a file is that is not ours, for the message that refuses it.

/// Names what `head`, the first bytes of a file, looks like.
pub(super) fn looks_like(head: &[u8]) -> String {
    if head.is_empty() {
        return "it is empty".to_owned();
    }
    if head.iter().all(|&byte| byte == 0) {
        return "it starts with zeros only".to_owned();
    }
    if let Some((_, name)) = SIGNATURES.iter().find(|(magic, _)| head.starts_with(magic)) {
        return format!("it looks like {name}");
    }
    let name = if is_gdbm(head) {
        "a gdbm database (dbm.gnu)"
    } else if is_berkeley(head) {
        "a Berkeley DB file (dbm.ndbm on some systems, or bsddb)"
    } else if word_at(head, 16) == Some(0xbeef_c0de) {
        "an LMDB database"
    } else if is_pickle(head) {
        "a pickle"
    } else if is_dumb_index(head) {
        "an index of dbm.dumb"
    } else if is_text(head) {
        "text"
    } else {
        let start: Vec<_> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        return format!("it is of an unknown kind and starts with {}", start.join(" "));
    };
    format!("it looks like {name}")
}

const SIGNATURES: [(&[u8], &str); 10] = [
    (b"SQLite format 3\0", "an SQLite database (dbm.sqlite3)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PK\x03\x04", "a zip file"),
    (b"PK\x05\x06", "a zip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
];

fn word_at(head: &[u8], at: usize) -> Option<u32> {
    let bytes = head.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

/// The magics of gdbm differ in their last byte and come in both byte orders.
fn is_gdbm(head: &[u8]) -> bool {
    let Some(word) = word_at(head, 0) else { return false };
    [word, word.swap_bytes()].iter().any(|word| (0x1357_9acd..=0x1357_9ad1).contains(word))
}

/// Berkeley DB has its magic at byte 12, version 1.85 (and so ndbm of the BSDs) at byte 0.
fn is_berkeley(head: &[u8]) -> bool {
    const MAGICS: [u32; 4] = [0x0005_3162, 0x0006_1561, 0x0004_2253, 0x0007_4582];
    [0, 12]
        .iter()
        .filter_map(|&at| word_at(head, at))
        .any(|word| MAGICS.contains(&word) || MAGICS.contains(&word.swap_bytes()))
}

fn is_pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, ..])
}

/// Lines of a quoted key, a comma and a pair of numbers in parentheses.
fn is_dumb_index(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let quoted = matches!(line, [b'\'' | b'"', ..]);
    quoted && line.ends_with(b")") && line.windows(3).any(|part| part == b", (")
}

fn is_text(head: &[u8]) -> bool {
    let sample = head.get(..512).unwrap_or(head);
    let printable = sample.iter().all(|&byte| byte >= 0x20 || byte.is_ascii_whitespace());
    let valid = match str::from_utf8(sample) {
        Ok(_) => true,
        // The sample may end within a character.
        Err(error) => error.error_len().is_none(),
    };
    printable && valid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_knows_what_people_have() {
        let mut lmdb = [0_u8; 64];
        lmdb[10] = 8;
        lmdb[16..20].copy_from_slice(&0xbeef_c0de_u32.to_le_bytes());
        let mut berkeley = [0_u8; 64];
        berkeley[12..16].copy_from_slice(&0x0006_1561_u32.to_be_bytes());
        for (head, name) in [
            (&b""[..], "empty"),
            (&[0; 100], "zeros"),
            (b"SQLite format 3\0 and more", "SQLite"),
            (&0x1357_9ace_u32.to_le_bytes(), "gdbm"),
            (&0x1357_9acf_u32.to_be_bytes(), "gdbm"),
            (&berkeley, "Berkeley"),
            (&lmdb, "LMDB"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04...", "zip"),
            (b"\x80\x05\x95\x10", "pickle"),
            (b"'spam', (0, 512)\n", "dbm.dumb"),
            ("Grüße\r\n".as_bytes(), "text"),
            (b"\x89rshelve\n\n", "unknown"),
        ] {
            let guess = looks_like(head);
            assert!(guess.contains(name), "{guess} for {name}");
        }
    }
}
