//! A configuration string against the table of options.

use super::parse::{Given, Options, number, unescaped};
use super::spec::{Fate, Initial, Kind, Method, Spec};
use super::table::METHODS;
use crate::{Error, Result};

/// The options of one call: those that its string gives, and the defaults of the others.
///
/// Options of a group have names such as `log.enabled`.
///
/// ```
/// use rshelve::config::{Method, Settings};
/// let settings = Settings::read(Method::Open, "cache_size=1GB,log=(enabled=false)")?;
/// assert_eq!(settings.number("cache_size"), 1 << 30);
/// assert!(!settings.flag("log.enabled") && !settings.flag("create"));
/// assert!(settings.is_given("cache_size") && !settings.is_given("create"));
/// assert_eq!(settings.text("error_prefix"), "");
/// let settings = Settings::read(Method::Checkpoint, "drop=(monday,tuesday)")?;
/// assert_eq!(settings.list("drop"), ["monday", "tuesday"]);
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    method: Method,
    given: Vec<(String, Value)>,
}

/// What was given, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

impl Settings {
    /// Reads and checks the string that `method` was given.
    ///
    /// ```
    /// use rshelve::config::{Method, Settings};
    /// let error = Settings::read(Method::Begin, "isolation=perfect").unwrap_err();
    /// assert!(error.to_string().contains("isolation"));
    /// Settings::read(Method::Begin, "isolation=snapshot")?;
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] names a key that is unknown, or whose value is of another type or out of
    /// range, or says where the string cannot be read; [`Error::Unsupported`] names an option that is
    /// refused.
    pub fn read(method: Method, text: &str) -> Result<Self> {
        let mut given = Vec::new();
        read_into(&mut given, specs(method), "", text)?;
        Ok(Self { method, given })
    }

    /// The defaults of `method`.
    pub(super) fn none(method: Method) -> Self {
        Self { method, given: Vec::new() }
    }

    /// Whether the string gives the option, be it its default.
    ///
    /// ```
    /// use rshelve::config::{Method, Settings};
    /// let settings = Settings::read(Method::Drop, "force=false")?;
    /// assert!(settings.is_given("force") && !settings.is_given("lock_wait"));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|(key, _)| key == name)
    }

    /// A flag.
    ///
    /// ```
    /// use rshelve::config::{Method, Settings};
    /// assert!(Settings::read(Method::Drop, "force")?.flag("force"));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Panics
    /// These four panic for a name, or a type, that is not in the table.
    pub fn flag(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Flag(flag) => flag,
            other => panic!("{name} is no flag but {other:?}"),
        }
    }

    /// A number, or a number of bytes.
    ///
    /// ```
    /// use rshelve::config::{Method, Settings};
    /// assert_eq!(Settings::read(Method::Open, "cache_size=2MB")?.number("cache_size"), 2 << 20);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Number(number) => number,
            other => panic!("{name} is no number but {other:?}"),
        }
    }

    /// A text, or one of several words.
    ///
    /// ```
    /// use rshelve::config::{Method, Settings};
    /// assert_eq!(Settings::read(Method::Open, "error_prefix=me")?.text("error_prefix"), "me");
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn text(&self, name: &str) -> String {
        match self.value(name) {
            Value::Text(text) => text,
            other => panic!("{name} is no text but {other:?}"),
        }
    }

    /// A list, or words.
    ///
    /// ```
    /// use rshelve::config::{Method, Settings};
    /// assert_eq!(Settings::read(Method::Checkpoint, "drop=(a,b)")?.list("drop"), ["a", "b"]);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Value::List(list) => list,
            other => panic!("{name} is no list but {other:?}"),
        }
    }

    fn value(&self, name: &str) -> Value {
        if let Some((_, value)) = self.given.iter().rev().find(|(key, _)| key == name) {
            return value.clone();
        }
        let spec = find(specs(self.method), name);
        let spec = spec.unwrap_or_else(|| panic!("{:?} has no option {name}", self.method));
        default(spec, name).unwrap_or_else(|error| panic!("the default of {name}: {error}"))
    }
}

fn specs(method: Method) -> &'static [Spec] {
    METHODS.iter().find(|(listed, ..)| *listed == method).map_or(&[], |(.., specs)| specs)
}

fn find(specs: &'static [Spec], name: &str) -> Option<&'static Spec> {
    let (first, rest) = name.split_once('.').map_or((name, None), |(a, b)| (a, Some(b)));
    let spec = specs.iter().find(|spec| spec.name == first)?;
    match (rest, spec.kind) {
        (None, _) => Some(spec),
        (Some(rest), Kind::Group(inner)) => find(inner, rest),
        _ => None,
    }
}

fn read_into(
    given: &mut Vec<(String, Value)>,
    specs: &'static [Spec],
    above: &str,
    text: &str,
) -> Result<()> {
    let mut options = Options::of(text);
    while let Some((key, value)) = options.next()? {
        let key = unescaped(key);
        let name = format!("{above}{key}");
        let Some(spec) = specs.iter().find(|spec| spec.name == key) else {
            return Err(Error::invalid(format!("unknown configuration key '{name}'")));
        };
        let Kind::Group(inner) = spec.kind else {
            let value = check(spec, &name, value)?;
            refuse(spec, &name, &value)?;
            given.push((name, value));
            continue;
        };
        match value {
            Given::Group(text) => read_into(given, inner, &format!("{name}."), text)?,
            // A group that is given as empty, as WiredTiger's defaults are.
            Given::Word("") | Given::Quoted("") => {}
            _ => return Err(wrong_type(&name, "(option=value,...)")),
        }
        if matches!(spec.fate, Fate::Refused(_)) && !value.text().is_empty() {
            refuse(spec, &name, &Value::Text(value.text().to_owned()))?;
        }
    }
    Ok(())
}

/// The option's value, if it is of its type and in its range.
fn check(spec: &Spec, name: &str, given: Given<'_>) -> Result<Value> {
    let text = given.text();
    Ok(match spec.kind {
        Kind::Flag => match text {
            "true" | "1" => Value::Flag(true),
            "false" | "0" => Value::Flag(false),
            _ => return Err(wrong_type(name, "boolean")),
        },
        Kind::Number(..) | Kind::Bytes(..) => {
            let number = match given {
                Given::Word(word) => number(word),
                _ => None,
            };
            ranged(spec.kind, name, number.ok_or_else(|| wrong_type(name, "int"))?)?
        }
        Kind::Text => Value::Text(unescaped(given)),
        Kind::Choice(words) => Value::Text(choice(words, name, text)?),
        Kind::Words(words) => {
            let words: Result<_> =
                list(given)?.iter().map(|word| choice(words, name, word)).collect();
            Value::List(words?)
        }
        Kind::List => Value::List(list(given)?),
        Kind::Group(_) => Value::Text(text.to_owned()),
    })
}

/// The number, if it is in its range.
fn ranged(kind: Kind, name: &str, number: i64) -> Result<Value> {
    match kind {
        Kind::Number(least, _) | Kind::Bytes(least, _) if number < least => {
            Err(Error::invalid(format!("value too small for key '{name}', the minimum is {least}")))
        }
        Kind::Number(_, most) | Kind::Bytes(_, most) if number > most => {
            Err(Error::invalid(format!("value too large for key '{name}', the maximum is {most}")))
        }
        _ => Ok(Value::Number(number)),
    }
}

/// What the option is when it is not given; checked as if it were.
fn default(spec: &Spec, name: &str) -> Result<Value> {
    match (spec.default, spec.kind) {
        (Initial::Number(number), _) => ranged(spec.kind, name, number),
        (Initial::Text(text), Kind::List | Kind::Words(_)) => check(spec, name, Given::Group(text)),
        (Initial::Text(text), _) => check(spec, name, Given::Word(text)),
    }
}

fn choice(words: &[&str], name: &str, word: &str) -> Result<String> {
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    let words = words.join(", ");
    Err(Error::invalid(format!(
        "value '{word}' not permitted for key '{name}'; give one of: {words}"
    )))
}

/// The texts of a list; a value without brackets is a list of one.
fn list(given: Given<'_>) -> Result<Vec<String>> {
    let Given::Group(text) = given else {
        let text = unescaped(given);
        return Ok(if text.is_empty() { Vec::new() } else { vec![text] });
    };
    let mut words = Vec::new();
    let mut options = Options::of(text);
    while let Some((word, value)) = options.next()? {
        let word = unescaped(word);
        match value {
            Given::Bare => words.push(word),
            // Such as `drop=(from=NAME)`.
            value => words.push(format!("{word}={}", unescaped(value))),
        }
    }
    Ok(words)
}

fn refuse(spec: &Spec, name: &str, value: &Value) -> Result<()> {
    let Fate::Refused(why) = spec.fate else { return Ok(()) };
    if default(spec, name).is_ok_and(|default| default == *value) {
        return Ok(());
    }
    Err(Error::Unsupported { what: format!("the configuration key '{name}' ({why})") })
}

fn wrong_type(name: &str, wanted: &str) -> Error {
    Error::invalid(format!("invalid value for key '{name}': expected a {wanted}"))
}
