//! Targets over what `cursor-api` reads from text and bytes: configuration strings, whatever method they
//! are for, and rows in packed formats. A panic is a finding.

use rshelve::Error;
use rshelve::config::{
    CursorSettings, Kind, METHODS, Method, OpenSettings, Settings, Spec, TableSettings,
    TransactionSettings,
};
use rshelve::packing::{Format, Value};
use rshelve::typed::Stored;

/// A method, and the string that it is given: it is refused by name, or every option has a value of its type
/// and in its range, and the same once more says the same.
pub fn config(data: &[u8]) {
    let Some((&method, text)) = data.split_first() else { return };
    let (method, _, specs) = METHODS[usize::from(method) % METHODS.len()];
    let text = String::from_utf8_lossy(text);
    let settings = match Settings::read(method, &text) {
        Ok(settings) => settings,
        Err(error) => return refused(&error),
    };
    let (once, mut twice) = (values(&settings, specs, ""), format!(" {text} ,, "));
    twice.push_str(&text);
    let again = Settings::read(method, &twice).expect("what can be read can be read twice");
    assert_eq!(values(&again, specs, ""), once, "the last of two counts");
    match method {
        Method::Open => drop(OpenSettings::read(&text).map_err(|error| refused(&error))),
        Method::OpenCursor => drop(CursorSettings::read(&text).map_err(|error| refused(&error))),
        Method::Begin => drop(TransactionSettings::read(&text).map_err(|error| refused(&error))),
        Method::Create => table(&text),
        _ => {}
    }
}

/// What a table's file keeps of its string is what the string said.
fn table(text: &str) {
    let made = match TableSettings::read(text) {
        Ok(made) => made,
        Err(error) => return refused(&error),
    };
    let metadata = &made.options.metadata;
    let kept = TableSettings::read(metadata).expect("what a table keeps can be read");
    assert_eq!((&kept.key_format, &kept.value_format), (&made.key_format, &made.value_format));
    assert_eq!(&kept.options.metadata, metadata, "and kept again is the same");
    let lists = |text| {
        let settings = Settings::read(Method::Create, text).expect("it was read before");
        (settings.list("app_metadata"), settings.list("columns"))
    };
    assert_eq!(lists(metadata), lists(text));
}

/// Every option's value, defaults included.
fn values(settings: &Settings, specs: &[Spec], above: &str) -> Vec<String> {
    let mut all = Vec::new();
    for spec in specs {
        let name = format!("{above}{}", spec.name);
        let text = match spec.kind {
            Kind::Group(inner) => {
                all.extend(values(settings, inner, &format!("{name}.")));
                continue;
            }
            Kind::Flag => settings.flag(&name).to_string(),
            Kind::Number(least, most) | Kind::Bytes(least, most) => {
                let number = settings.number(&name);
                assert!((least..=most).contains(&number), "{name} is {number}");
                number.to_string()
            }
            Kind::Choice(words) => {
                let word = settings.text(&name);
                assert!(words.contains(&&*word), "{name} is {word:?}");
                word
            }
            Kind::Text => settings.text(&name),
            Kind::Words(words) => {
                let given = settings.list(&name);
                assert!(given.iter().all(|word| words.contains(&&**word)), "{name} is {given:?}");
                format!("{given:?}")
            }
            Kind::List => format!("{:?}", settings.list(&name)),
        };
        all.push(format!("{name}={text}"));
    }
    all
}

/// What may be said of a text: nothing of a file or a disk.
fn refused(error: &Error) {
    assert!(
        matches!(error, Error::Invalid { .. } | Error::Unsupported { .. }),
        "an error of another kind: {error}"
    );
    assert!(!error.to_string().is_empty());
}

/// A format, a zero, and rows of it, each behind its length: what can be read is packed to as few bytes, and
/// these say and sort as the values do.
pub fn packing(data: &[u8]) {
    typed(data);
    let (text, mut rest) = match data.iter().position(|&byte| byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &data[data.len()..]),
    };
    let format: Format = match String::from_utf8_lossy(text).parse() {
        Ok(format) => format,
        Err(error) => return refused(&error),
    };
    assert!(format.columns().len() <= Format::COUNT_MAX);
    assert_eq!(format.to_string().parse::<Format>().expect("it was read before"), format);
    let mut before: Option<(Vec<Value<'_>>, Vec<u8>)> = None;
    while let Some((&len, behind)) = rest.split_first() {
        let (row, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        let values = match format.unpack(row) {
            Ok(values) => values,
            Err(error) => {
                refused(&error);
                continue;
            }
        };
        assert_eq!(values.len(), format.value_count());
        let packed = format.pack(&values).expect("what was a row is one");
        assert!(packed.len() <= row.len(), "{values:?} packs to {packed:?}, and was {row:?}");
        assert_eq!(format.unpack(&packed).expect("it was packed"), values);
        if let Some((before, bytes)) = &before {
            let order = compare(before, &values);
            assert!(
                order.is_none_or(|order| bytes.cmp(&packed) == order),
                "{before:?} and {values:?} sort otherwise than {bytes:?} and {packed:?}"
            );
        }
        before = Some((values, packed));
    }
}

/// How two rows sort; none where the order of their columns is not that of the bytes: at bytes that another
/// column follows, which sort by their length first.
fn compare(one: &[Value<'_>], other: &[Value<'_>]) -> Option<std::cmp::Ordering> {
    for (at, pair) in one.iter().zip(other).enumerate() {
        let order = match pair {
            (Value::Signed(a), Value::Signed(b)) => a.cmp(b),
            (Value::Unsigned(a), Value::Unsigned(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) if at + 1 < one.len() && a.len() != b.len() => {
                return None;
            }
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            pair => panic!("rows of one format with {pair:?}"),
        };
        if order.is_ne() {
            return Some(order);
        }
    }
    Some(std::cmp::Ordering::Equal)
}

/// The same of Rust's own types.
fn typed(data: &[u8]) {
    type Row<'a> = (i32, &'a str, &'a [u8], u16, bool);
    let Ok((number, text, bytes, count, flag)) = Row::decode(data) else { return };
    let mut encoded = Vec::new();
    (number, text.as_str(), bytes.as_slice(), count, flag).encode(&mut encoded);
    let again = Row::decode(&encoded).expect("it was encoded");
    assert_eq!(again, (number, text, bytes, count, flag));
    assert!(encoded.len() <= data.len());
}
