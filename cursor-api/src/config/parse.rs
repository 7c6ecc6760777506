//! The grammar of configuration strings, without the meaning of any key.

use crate::{Error, Result};

/// The value of an option, as it stands in the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given<'t> {
    /// None: a key alone.
    Bare,
    /// Without quotes or brackets.
    Word(&'t str),
    /// Between quotes, which are left out.
    Quoted(&'t str),
    /// Between brackets, which are left out.
    Group(&'t str),
}

impl<'t> Given<'t> {
    /// As a text.
    pub(super) fn text(self) -> &'t str {
        match self {
            Self::Bare => "true",
            Self::Word(text) | Self::Quoted(text) | Self::Group(text) => text,
        }
    }
}

/// The options of a string, one after the other.
pub(super) struct Options<'t> {
    /// The whole string, for messages.
    text: &'t str,
    /// Where the next option begins, in bytes.
    at: usize,
}

impl<'t> Options<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next option, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<(Given<'t>, Given<'t>)>> {
        self.skip(|letter| letter == ',' || letter.is_whitespace());
        if self.rest().is_empty() {
            return Ok(None);
        }
        let key = match self.value()? {
            key @ (Given::Word(text) | Given::Quoted(text)) if !text.is_empty() => key,
            _ => return Err(self.error("a key is missing")),
        };
        self.skip(char::is_whitespace);
        let given = if self.rest().starts_with(['=', ':']) {
            self.at += 1;
            self.skip(char::is_whitespace);
            self.value()?
        } else {
            Given::Bare
        };
        self.skip(char::is_whitespace);
        if self.rest().is_empty() || self.rest().starts_with(',') {
            return Ok(Some((key, given)));
        }
        Err(self.error("a comma is missing"))
    }

    /// What stands here, up to the next separator.
    fn value(&mut self) -> Result<Given<'t>> {
        let rest = self.rest();
        match rest.chars().next() {
            Some('"') => {
                let length = quoted_bytes(rest).ok_or_else(|| self.error("unbalanced quotes"))?;
                self.at += length;
                Ok(Given::Quoted(rest.get(1..length - 1).unwrap_or_default()))
            }
            Some('(' | '[' | '{') => {
                let length = group_bytes(rest).ok_or_else(|| self.error("unbalanced brackets"))?;
                self.at += length;
                Ok(Given::Group(rest.get(1..length - 1).unwrap_or_default()))
            }
            Some(')' | ']' | '}') => Err(self.error("unbalanced brackets")),
            _ => {
                let length = rest.find(ends_word).unwrap_or(rest.len());
                self.at += length;
                Ok(Given::Word(rest.get(..length).unwrap_or_default()))
            }
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|letter| !skipped(letter)).unwrap_or(rest.len());
    }

    fn error(&self, what: &str) -> Error {
        Error::invalid(format!(
            "cannot read the configuration {:?} at byte {}: {what}",
            self.text, self.at
        ))
    }
}

/// How long the quoted text is that `rest` begins with, with its quotes. A backslash keeps a quote
/// from ending it.
fn quoted_bytes(rest: &str) -> Option<usize> {
    let mut escaped = true;
    for (at, letter) in rest.char_indices() {
        match letter {
            '"' if !escaped => return Some(at + 1),
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    None
}

/// How long the group is that `rest` begins with, with its brackets.
fn group_bytes(rest: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(letter) = rest.get(at..)?.chars().next() {
        match letter {
            '"' => {
                at += quoted_bytes(rest.get(at..)?)?;
                continue;
            }
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => {
                if open.pop() != Some(letter) {
                    return None;
                }
                if open.is_empty() {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += letter.len_utf8();
    }
    None
}

/// The text between quotes; a backslash before a quote or a backslash is left out.
pub(super) fn unescaped(given: Given<'_>) -> String {
    let Given::Quoted(text) = given else { return given.text().to_owned() };
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        // Before any other letter a backslash stands for itself, as in a path of Windows.
        let escaped = letters.next_if(|&next| letter == '\\' && matches!(next, '"' | '\\'));
        plain.push(escaped.unwrap_or(letter));
    }
    plain
}

/// `words`, which may be `key=value`, as a list that is read back as these words: between quotes where
/// one would fall apart.
pub(super) fn written_list(words: &[String]) -> String {
    let mut list = String::from("(");
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            list.push(',');
        }
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if key.is_empty() || key.contains(ends_word) || value.contains(ends_word) {
            list.push('"');
            for letter in word.chars() {
                if matches!(letter, '"' | '\\') {
                    list.push('\\');
                }
                list.push(letter);
            }
            list.push('"');
        } else {
            list.push_str(word);
        }
    }
    list.push(')');
    list
}

/// Whether a word without quotes ends before this letter.
fn ends_word(letter: char) -> bool {
    ",=:\"()[]{}".contains(letter) || letter.is_whitespace()
}

/// A number with its unit: `16`, `-1`, `10MB`.
pub(super) fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let digits = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len())
        + (text.len() - digits.len());
    let (count, unit) = text.split_at_checked(digits)?;
    let unit = unit.to_ascii_uppercase();
    let shift = match unit.strip_suffix('B').unwrap_or(&unit) {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        _ => return None,
    };
    count.parse::<i64>().ok()?.checked_mul(1 << shift)
}
