//! What a builder was told, as a configuration string: so that there is one way to check it.

use std::fmt::Display;
use std::time::Duration;

/// Options that were said one after the other; of what is said twice the last counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said(String);

impl Said {
    /// Says one more; its value needs no quotes.
    pub(crate) fn set(mut self, key: &str, value: impl Display) -> Self {
        self.0.push_str(if self.0.is_empty() { "" } else { "," });
        self.0.push_str(&format!("{key}={value}"));
        self
    }

    /// Says one more whose value may be any text.
    pub(crate) fn set_text(self, key: &str, text: &str) -> Self {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        self.set(key, format_args!("\"{quoted}\""))
    }

    /// Says one more that counts milliseconds: at least one, for none at all may mean something else.
    pub(crate) fn set_milliseconds(self, key: &str, time: Duration) -> Self {
        self.set(key, time.as_millis().max(1))
    }

    /// Says what a configuration string says.
    pub(crate) fn add(mut self, text: &str) -> Self {
        self.0.push_str(if self.0.is_empty() || text.is_empty() { "" } else { "," });
        self.0.push_str(text);
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}
