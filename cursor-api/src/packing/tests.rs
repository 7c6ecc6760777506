//! Golden vectors, and properties: what is packed comes back, and sorts as its columns do.

use proptest::prelude::*;

use super::*;
use crate::Error;

/// A value that owns what it is made of.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Signed(i64),
    Unsigned(u64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Signed(number) => Value::Signed(*number),
            Self::Unsigned(number) => Value::Unsigned(*number),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

fn format(text: &str) -> Format {
    text.parse().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn check(text: &str, values: &[Value<'_>], expected: &str) {
    let format = format(text);
    let packed = format.pack(values).unwrap();
    assert_eq!(hex(&packed), expected, "{text} {values:?}");
    assert_eq!(format.unpack(&packed).unwrap(), values, "{text}");
}

#[track_caller]
fn check_refused(text: &str, values: &[Value<'_>], word: &str) {
    let error = format(text).pack(values).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    assert!(error.to_string().contains(word), "{error} does not say {word:?}");
}

#[test]
fn integers_pack_into_golden_bytes() {
    check("q", &[Value::Signed(i64::MIN)], "108000000000000000");
    check("q", &[Value::Signed(-65537)], "15feffff");
    check("q", &[Value::Signed(-8257)], "16dfbf");
    check("q", &[Value::Signed(-8256)], "2000");
    check("h", &[Value::Signed(-300)], "3f14");
    check("q", &[Value::Signed(-65)], "3fff");
    check("q", &[Value::Signed(-64)], "40");
    check("q", &[Value::Signed(-1)], "7f");
    check("q", &[Value::Signed(0)], "80");
    check("q", &[Value::Signed(63)], "bf");
    check("q", &[Value::Signed(64)], "c000");
    check("q", &[Value::Signed(8255)], "dfff");
    check("q", &[Value::Signed(8256)], "e100");
    check("q", &[Value::Signed(8256 + 255)], "e1ff");
    check("q", &[Value::Signed(8256 + 256)], "e20100");
    check("q", &[Value::Signed(i64::MAX)], "e87fffffffffffdfbf");
    check("Q", &[Value::Unsigned(u64::MAX)], "e8ffffffffffffdfbf");
    check("r", &[Value::Unsigned(5)], "85");
}

#[test]
fn columns_pack_into_golden_bytes() {
    use Value::{Bytes, Signed, Text, Unsigned};
    check("iS", &[Signed(5), Text("ab")], "85616200");
    check("Su", &[Text("ab"), Bytes(b"xy")], "6162007879");
    check("uS", &[Bytes(b"xy"), Text("ab")], "827879616200");
    check("2i", &[Signed(1), Signed(2)], "8182");
    check("b", &[Signed(-128)], "00");
    check("b", &[Signed(127)], "ff");
    check("2B", &[Unsigned(1), Unsigned(255)], "01ff");
    check("5s", &[Text("ab\0\0\0")], "6162000000");
    check("s", &[Text("a")], "61");
    check("5S", &[Text("abcde")], "6162636465");
    check("t", &[Unsigned(1)], "01");
    check("5t", &[Unsigned(31)], "1f");
    check("3xi", &[Signed(5)], "00000085");
    check("ix", &[Signed(5)], "8500");
    check("10u", &[Bytes(b"ab\0\0\0\0\0\0\0\0")], "61620000000000000000");
    check("uu", &[Bytes(b"ab"), Bytes(b"cd")], "8261626364");
    check("S", &[Text("é")], "c3a900");
    check(".i", &[Signed(5)], "85");
    check("", &[], "");
}

#[test]
fn fixed_columns_are_cut_or_filled() {
    assert_eq!(format("3S").pack(&[Value::Text("abcdef")]).unwrap(), b"abc");
    assert_eq!(format("5s").pack(&[Value::Text("ab")]).unwrap(), b"ab\0\0\0");
    assert_eq!(format("2u").pack(&[Value::Bytes(b"abcd")]).unwrap(), b"ab");
    assert_eq!(format("4u").pack(&[Value::Text("ab")]).unwrap(), b"ab\0\0");
    let cut = format("3s").pack(&[Value::Text("aéé")]).unwrap();
    assert_eq!(cut, "aé".as_bytes(), "at a character's end");
    assert_eq!(format("2s").pack(&[Value::Text("aé")]).unwrap(), b"a\0");
}

#[test]
fn values_out_of_place_are_refused() {
    use Value::{Signed, Text, Unsigned};
    check_refused("S", &[Text("a\0b")], "NUL");
    check_refused("b", &[Signed(128)], "128");
    check_refused("B", &[Signed(-1)], "-1");
    check_refused("B", &[Unsigned(256)], "256");
    check_refused("t", &[Unsigned(2)], "2 is out of range");
    check_refused("5t", &[Unsigned(32)], "32");
    check_refused("8t", &[Unsigned(256)], "256");
    check_refused("Q", &[Signed(-1)], "-1");
    check_refused("q", &[Unsigned(1 << 63)], "9223372036854775808");
    check_refused("i", &[Text("a")], "number");
    check_refused("u", &[Signed(1)], "bytes");
    check_refused("S", &[Value::Bytes(b"a")], "text");
    check_refused("2i", &[Signed(1)], "fewer");
    check_refused("i", &[Signed(1), Signed(2)], "more");
}

#[test]
fn formats_that_cannot_be_are_refused() {
    for text in ["z", "5", "i5", "9t", "0t", ">i", "<i", "@i", "i i", "99999999999999999999i", "i."]
    {
        let error = text.parse::<Format>().unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{text}: {error}");
    }
    let many = "60000i".repeat(2).parse::<Format>().unwrap_err();
    assert!(many.to_string().contains("too many columns"), "{many}");
}

#[test]
fn a_format_tells_of_its_columns() {
    let format = format("x2iuS3u");
    use Kind::{CountedBytes, FixedBytes, Padding, Signed, Text};
    assert_eq!(format.columns(), [Padding(1), Signed, Signed, CountedBytes, Text, FixedBytes(3)]);
    assert_eq!((format.value_count(), format.to_string().as_str()), (5, "x2iuS3u"));
    assert!(!format.is_raw() && "u".parse::<Format>().unwrap().is_raw());
}

#[test]
fn damaged_rows_are_errors() {
    for (text, packed) in [
        ("i", &b""[..]),
        ("i", b"\x00"),
        ("i", b"\x18"),
        ("i", b"\xc0"),
        ("i", b"\xf0"),
        ("i", b"\xe0"),
        ("i", b"\xe9\0\0\0\0\0\0\0\0\0"),
        ("Q", b"\x7f"),
        ("Q", b"\xe8\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("q", b"\xe8\xff\xff\xff\xff\xff\xff\xdf\xbf"),
        ("S", b"ab"),
        ("S", b"\xff\0"),
        ("5u", b"ab"),
        ("uS", b"\xe8\xff\xff\xff\xff\xff\xff\x00\x00ab"),
        ("i", b"\x85\x86"),
    ] {
        let error = format(text).unpack(packed).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{text} {packed:?}: {error:?}");
    }
}

/// Letters, each with values that it takes.
fn column(last: bool) -> impl Strategy<Value = (String, Owned)> {
    let near = prop_oneof![-9000_i64..9000, any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    let small = prop_oneof![0_u64..9000, any::<u64>(), Just(u64::MAX)];
    let text = "[a-cé\u{10348}]{0,4}";
    let own = |letter: &str, value: Owned| (letter.to_owned(), value);
    let letters = |set: &[&'static str]| proptest::sample::select(set.to_vec());
    let bytes = || proptest::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 0..6);
    prop_oneof![
        (letters(&["h", "i", "l", "q"]), near).prop_map(move |(l, n)| own(l, Owned::Signed(n))),
        (letters(&["H", "I", "L", "Q", "r"]), small)
            .prop_map(move |(l, n)| own(l, Owned::Unsigned(n))),
        (any::<i8>()).prop_map(move |n| own("b", Owned::Signed(n.into()))),
        (any::<u8>()).prop_map(move |n| own("B", Owned::Unsigned(n.into()))),
        (0_u64..32).prop_map(move |n| own("5t", Owned::Unsigned(n))),
        text.prop_map(move |t| own("S", Owned::Text(t))),
        "[a-c]{3}".prop_map(move |t| own("3s", Owned::Text(t))),
        proptest::collection::vec(any::<u8>(), 4).prop_map(move |b| own("4u", Owned::Bytes(b))),
        bytes().prop_map(move |b| own(if last { "u" } else { "4u" }, Owned::Bytes(b))),
    ]
}

/// A format and two rows of it.
fn two_rows() -> impl Strategy<Value = (String, Vec<Owned>, Vec<Owned>)> {
    let rows = (proptest::collection::vec(column(false), 0..4), column(true));
    rows.prop_flat_map(|(mut columns, last)| {
        columns.push(last);
        let text: String = columns.iter().map(|(letter, _)| letter.as_str()).collect();
        let first: Vec<Owned> = columns.into_iter().map(|(_, value)| value).collect();
        let second = first.iter().map(like).collect::<Vec<_>>();
        (Just(text), Just(first), second)
    })
}

/// A value of the same kind, often the same.
fn like(value: &Owned) -> BoxedStrategy<Owned> {
    let same = Just(value.clone());
    match value.clone() {
        Owned::Signed(n) => {
            prop_oneof![same, (-2_i64..3).prop_map(move |by| Owned::Signed(near(n, by))),].boxed()
        }
        Owned::Unsigned(n) => {
            prop_oneof![same, Just(Owned::Unsigned(n / 2)), Just(Owned::Unsigned(n & !3))].boxed()
        }
        Owned::Text(text) => {
            let other: String = text.chars().rev().collect();
            prop_oneof![same, Just(Owned::Text(other))].boxed()
        }
        Owned::Bytes(mut bytes) => {
            bytes.reverse();
            prop_oneof![same, Just(Owned::Bytes(bytes))].boxed()
        }
    }
}

/// `number + by`, within a byte where `number` is, for it may be a `b`.
fn near(number: i64, by: i64) -> i64 {
    let moved = number.saturating_add(by);
    if i8::try_from(number).is_ok() { moved.clamp(-128, 127) } else { moved }
}

fn values(row: &[Owned]) -> Vec<Value<'_>> {
    row.iter().map(Owned::value).collect()
}

/// How the columns compare, each by its type.
fn compare(first: &[Value<'_>], second: &[Value<'_>]) -> std::cmp::Ordering {
    let pairs = first.iter().zip(second);
    pairs.fold(std::cmp::Ordering::Equal, |so_far, pair| {
        so_far.then_with(|| match pair {
            (Value::Signed(a), Value::Signed(b)) => a.cmp(b),
            (Value::Unsigned(a), Value::Unsigned(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            _ => panic!("rows of two formats"),
        })
    })
}

proptest! {
    #[test]
    fn rows_come_back_and_sort_as_their_columns((text, first, second) in two_rows()) {
        let format = format(&text);
        let (one, two) = (format.pack(&values(&first)).unwrap(), format.pack(&values(&second)).unwrap());
        // What a fixed column was cut or filled to is what sorts.
        let (back_one, back_two) = (format.unpack(&one).unwrap(), format.unpack(&two).unwrap());
        prop_assert_eq!(format.pack(&back_one).unwrap(), one.clone());
        if !text.contains("4u") {
            prop_assert_eq!(&back_one, &values(&first));
        }
        prop_assert_eq!(one.cmp(&two), compare(&back_one, &back_two), "{} {:?} {:?}", text, first, second);
    }

    #[test]
    fn integers_sort_as_numbers(a in any::<i64>(), b in any::<i64>(), shift in 0_u32..64) {
        let (a, b) = (a >> shift, b >> shift);
        let packed = |number| { let mut packed = Vec::new(); pack_signed(&mut packed, number); packed };
        let (one, two) = (packed(a), packed(b));
        prop_assert_eq!(unpack_signed(&mut &one[..]).unwrap(), a);
        prop_assert_eq!(one.cmp(&two), a.cmp(&b));
    }

    #[test]
    fn any_bytes_unpack_or_are_refused(
        text in "[xbBhiqQrsStu]{1,5}", bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let format = format(&text);
        if let Ok(values) = format.unpack(&bytes) {
            prop_assert_eq!(values.len(), format.value_count());
        }
    }
}

#[test]
fn unpack_refuses_bits_beyond_their_column() {
    let format: Format = "3t".parse().unwrap();
    assert_eq!(format.unpack(&[7]).unwrap(), [Value::Unsigned(7)]);
    assert!(format.unpack(&[8]).is_err());
}
