//! Images byte for byte. A change here is a change of the format on disk: it needs a new format
//! version, and `docs/format.md` must say the same.

use super::*;

/// The bytes that `hex` spells, blanks and comments behind `#` ignored.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .lines()
        .flat_map(|line| line.split('#').next().unwrap().bytes())
        .filter_map(|byte| char::from(byte).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[track_caller]
fn check(kind: PageKind, entries: &[(&[u8], Tag, &[u8])], golden: &str) {
    let entries: Vec<Entry> =
        entries.iter().map(|(key, tag, value)| (key.to_vec(), *tag, value.to_vec())).collect();
    let golden = bytes(golden);
    let built = build(kind, &entries).as_bytes().to_vec();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    assert_eq!(hex(&built), hex(&golden));
    let image = PageImage::parse(golden.into()).unwrap();
    assert_eq!(image.kind(), kind);
    model::check(&image, &entries, &[]);
}

#[test]
fn leaf_image_has_its_golden_bytes() {
    check(
        PageKind::Leaf,
        &[
            (b"spam", Tag::Inline, b"ham"),
            (b"spam/eggs/bacon", Tag::Inline, b""),
            (b"spam/toast", Tag::Overflow, &[0xaa; 33]),
        ],
        GOLDEN_LEAF,
    );
}

#[test]
fn internal_image_has_its_golden_bytes() {
    check(
        PageKind::Internal,
        &[(b"", Tag::Child, b"\x01\x02"), (b"m", Tag::Child, b"\x03")],
        GOLDEN_INTERNAL,
    );
}

const GOLDEN_LEAF: &str = "\
0000000000000000000000000000000000000000000000000000000000000000 # the block's header
01                      # kind: leaf
00                      # flags: offsets of two bytes
0000                    # reserved
03000000                # 3 slots
04000000                # a prefix of 4 bytes
84000000                # the image ends at 132
7370616d 00000000       # prefix: spam, and zeros up to a multiple of 8
00000000 00000000       # head 0: nothing follows the prefix
61622f73 6767652f       # head 1: /eggs/ba, big-endian, stored little-endian
00007473 616f742f       # head 2: /toast and two zeros
5600 5b00 6000          # offsets of the cells: 86, 91, 96
00 0c 68616d            # a rest of 0 bytes, 3 bytes of value: ham
0b 00 636f6e            # a rest of 11 bytes, 8 of them in the head: con; no value
06 8501                 # a rest of 6 bytes, all in the head; 33 bytes of reference
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
";

const GOLDEN_INTERNAL: &str = "\
0000000000000000000000000000000000000000000000000000000000000000 # the block's header
02                      # kind: internal
00                      # flags: offsets of two bytes
0000                    # reserved
02000000                # 2 slots
00000000                # no prefix
4b000000                # the image ends at 75
00000000 00000000       # head 0: the empty key
00000000 0000006d       # head 1: m and zeros
4400 4800               # offsets of the cells: 68, 72
00 0a 0102              # a rest of 0 bytes, 2 bytes of child
01 06 03                # a rest of 1 byte, in the head; 1 byte of child
";
