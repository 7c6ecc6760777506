//! Changing parts of a value.

/// One change: `size` bytes from `offset` on become `data`.
///
/// ```
/// use rshelve::state::{Modify, Padding, apply_modify};
/// let changes = [
///     Modify { data: b"S".to_vec(), offset: 0, size: 1 },
///     Modify { data: Vec::new(), offset: 4, size: 5 },
/// ];
/// assert_eq!(apply_modify(b"spam eggs".to_vec(), &changes, Padding::Nul), b"Spam");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modify {
    /// What comes there.
    pub data: Vec<u8>,
    /// Where, in bytes from the value's beginning. What lies between its end and here is padded.
    pub offset: usize,
    /// How many bytes go.
    pub size: usize,
}

/// What fills a value up to the place where a change begins.
///
/// ```
/// use rshelve::state::{Modify, Padding, apply_modify};
/// let far = [Modify { data: b"!".to_vec(), offset: 5, size: 0 }];
/// assert_eq!(apply_modify(b"eggs".to_vec(), &far, Padding::Nul), b"eggs\0!");
/// assert_eq!(apply_modify(b"eggs\0".to_vec(), &far, Padding::Space), b"eggs !\0");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// NUL bytes: the value is bytes (format `u`).
    #[default]
    Nul,
    /// Spaces; the value is text that a NUL byte ends (format `S`), and goes on to be.
    Space,
}

/// What `changes`, one after the other, make of `value`.
///
/// ```
/// use rshelve::state::{Modify, Padding, apply_modify};
/// let change = Modify { data: b"new".to_vec(), offset: 5, size: 1 };
/// assert_eq!(apply_modify(b"abc\0".to_vec(), &[change.clone()], Padding::Space), b"abc  new\0");
/// assert_eq!(apply_modify(b"abcdefgh".to_vec(), &[change], Padding::Nul), b"abcdenewgh");
/// ```
pub fn apply(mut value: Vec<u8>, changes: &[Modify], padding: Padding) -> Vec<u8> {
    let ended = padding == Padding::Space && value.last() == Some(&0);
    if ended {
        value.pop();
    }
    for Modify { data, offset, size } in changes {
        if value.len() < *offset {
            value.resize(*offset, if padding == Padding::Space { b' ' } else { 0 });
        }
        let end = offset.saturating_add(*size).min(value.len());
        value.splice(*offset..end, data.iter().copied());
    }
    if ended {
        value.push(0);
    }
    value
}
