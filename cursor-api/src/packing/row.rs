//! Values into bytes and back, column by column.

use super::format::{Format, Kind};
use super::integer::{pack_signed, pack_unsigned, unpack_signed, unpack_unsigned};
use crate::{Error, Result};

/// One value of a row.
///
/// ```
/// use rshelve::packing::{Format, Value};
/// let format: Format = "qQSu".parse()?;
/// let row = [Value::Signed(-1), Value::Unsigned(1), Value::Text("eggs"), Value::Bytes(b"\x00")];
/// assert_eq!(format.unpack(&format.pack(&row)?)?, row);
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of `b h i l q`. May be given to the unsigned letters too, if it is not negative.
    Signed(i64),
    /// Of `B H I L Q r t`. May be given to the signed letters too, if it fits.
    Unsigned(u64),
    /// Of `s S`.
    Text(&'a str),
    /// Of `u`.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    fn name(&self) -> &'static str {
        match self {
            Value::Signed(_) | Value::Unsigned(_) => "a number",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
        }
    }

    fn signed(self) -> Result<i64> {
        match self {
            Value::Signed(number) => Ok(number),
            Value::Unsigned(number) => i64::try_from(number).map_err(|_| {
                Error::invalid(format!("{number} is out of range for a signed column"))
            }),
            other => Err(mismatch("a number", other)),
        }
    }

    fn unsigned(self) -> Result<u64> {
        match self {
            Value::Unsigned(number) => Ok(number),
            Value::Signed(number) => u64::try_from(number).map_err(|_| {
                Error::invalid(format!("{number} is out of range for an unsigned column"))
            }),
            other => Err(mismatch("a number", other)),
        }
    }
}

impl<'a> Value<'a> {
    fn text(self) -> Result<&'a str> {
        match self {
            Value::Text(text) => Ok(text),
            other => Err(mismatch("text", other)),
        }
    }

    fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Text(text) => Ok(text.as_bytes()),
            other => Err(mismatch("bytes", other)),
        }
    }
}

impl Format {
    /// The bytes of a row. The bytes of two rows of one format compare as their columns do, one
    /// after the other; but a `u` that is not the last column compares by its length first.
    ///
    /// ```
    /// use rshelve::packing::{Format, Value};
    /// let format: Format = "iS".parse()?;
    /// assert_eq!(format.pack(&[Value::Signed(5), Value::Text("ab")])?, b"\x85ab\0");
    /// assert!(format.pack(&[Value::Signed(5)]).is_err());
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for too few or too many values, one of another type or out of range, and
    /// for a NUL inside an `S` without a size, which would end it.
    pub fn pack(&self, values: &[Value<'_>]) -> Result<Vec<u8>> {
        let mut packed = Vec::with_capacity(16);
        let mut packer = self.packer(&mut packed);
        for &value in values {
            packer.put(value)?;
        }
        packer.finish()?;
        Ok(packed)
    }

    /// A packer that appends one row to `packed`, for callers that have no slice of values.
    ///
    /// ```
    /// use rshelve::packing::{Format, Value};
    /// let format: Format = "iS".parse()?;
    /// let mut packed = Vec::new();
    /// let mut packer = format.packer(&mut packed);
    /// packer.put(Value::Signed(5))?;
    /// packer.put(Value::Text("ab"))?;
    /// packer.finish()?;
    /// assert_eq!(packed, b"\x85ab\0");
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn packer<'f>(&'f self, packed: &'f mut Vec<u8>) -> Packer<'f> {
        Packer { format: self, next: 0, packed }
    }

    /// The values of a row that [`pack`](Self::pack) made.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the bytes are no row of this format.
    ///
    /// ```
    /// use rshelve::packing::{Format, Value};
    /// let format: Format = "2i".parse()?;
    /// assert_eq!(format.unpack(&[0x81, 0x82])?, [Value::Signed(1), Value::Signed(2)]);
    /// assert!(format.unpack(&[0x81]).is_err());
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn unpack<'a>(&self, packed: &'a [u8]) -> Result<Vec<Value<'a>>> {
        let mut values = Vec::with_capacity(self.columns().len().min(packed.len() + 1));
        let mut rest = packed;
        for &kind in self.columns() {
            values.extend(take(kind, &mut rest)?);
        }
        if !rest.is_empty() {
            return Err(Error::invalid(format!(
                "{} bytes are left behind a row of the format {:?}",
                rest.len(),
                self.as_str()
            )));
        }
        Ok(values)
    }
}

/// Packs one row, a value at a time. See [`Format::packer`].
///
/// ```
/// use rshelve::packing::{Format, Kind, Value};
/// let format: Format = "iS".parse()?;
/// let mut packed = Vec::new();
/// let mut packer = format.packer(&mut packed);
/// assert_eq!(packer.wants(), Some(Kind::Signed));
/// packer.put(Value::Signed(5))?;
/// packer.put(Value::Text("ab"))?;
/// packer.finish()?;
/// assert_eq!(packed, b"\x85ab\0");
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Debug)]
pub struct Packer<'f> {
    format: &'f Format,
    /// The column that comes next.
    next: usize,
    packed: &'f mut Vec<u8>,
}

impl Packer<'_> {
    /// What the next value has to be; none when all columns are there.
    ///
    /// ```
    /// use rshelve::packing::{Format, Kind, Value};
    /// let format: Format = "iS".parse()?;
    /// let mut packed = Vec::new();
    /// let mut packer = format.packer(&mut packed);
    /// assert_eq!(packer.wants(), Some(Kind::Signed));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn wants(&self) -> Option<Kind> {
        let rest = self.format.columns().get(self.next..).unwrap_or_default();
        rest.iter().copied().find(|kind| !matches!(kind, Kind::Padding(_)))
    }

    /// Appends the next value.
    ///
    /// ```
    /// use rshelve::packing::{Format, Kind, Value};
    /// let format: Format = "iS".parse()?;
    /// let mut packed = Vec::new();
    /// let mut packer = format.packer(&mut packed);
    /// packer.put(Value::Signed(5))?;
    /// assert!(packer.put(Value::Signed(5)).is_err(), "a text comes next");
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Format::pack`].
    pub fn put(&mut self, value: Value<'_>) -> Result<()> {
        self.pad();
        let Some(&kind) = self.format.columns().get(self.next) else {
            return Err(self.miscounted("more"));
        };
        self.next += 1;
        append(kind, value, self.packed)
    }

    /// Ends the row.
    ///
    /// ```
    /// use rshelve::packing::{Format, Kind, Value};
    /// let format: Format = "iS".parse()?;
    /// let mut packed = Vec::new();
    /// let mut packer = format.packer(&mut packed);
    /// packer.put(Value::Signed(5))?;
    /// assert!(packer.finish().is_err(), "the text is missing");
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when values are missing.
    pub fn finish(mut self) -> Result<()> {
        self.pad();
        if self.next < self.format.columns().len() { Err(self.miscounted("fewer")) } else { Ok(()) }
    }

    fn pad(&mut self) {
        while let Some(&Kind::Padding(size)) = self.format.columns().get(self.next) {
            self.packed.resize(self.packed.len() + size, 0);
            self.next += 1;
        }
    }

    fn miscounted(&self, which: &str) -> Error {
        let (format, count) = (self.format.as_str(), self.format.value_count());
        Error::invalid(format!(
            "{which} values were given than the {count} that the format {format:?} takes"
        ))
    }
}

fn append(kind: Kind, value: Value<'_>, packed: &mut Vec<u8>) -> Result<()> {
    match kind {
        Kind::Padding(_) => {}
        Kind::SignedByte => {
            let number = i8::try_from(value.signed()?).map_err(|_| out_of_range("b", value))?;
            // Moved up, so that the bytes sort as the numbers do.
            packed.push(number.cast_unsigned() ^ 0x80);
        }
        Kind::UnsignedByte => {
            packed.push(u8::try_from(value.unsigned()?).map_err(|_| out_of_range("B", value))?);
        }
        Kind::Signed => pack_signed(packed, value.signed()?),
        Kind::Unsigned => pack_unsigned(packed, value.unsigned()?),
        Kind::FixedText(size) => {
            let text = value.text()?;
            let end = text.floor_char_boundary(size);
            append_filled(packed, text.get(..end).unwrap_or_default().as_bytes(), size);
        }
        Kind::Text => {
            let text = value.text()?;
            if text.contains('\0') {
                return Err(Error::invalid(
                    "a NUL inside the text of a column S would end it; use u for such bytes",
                ));
            }
            packed.extend(text.as_bytes());
            packed.push(0);
        }
        Kind::Bits(bits) => {
            let number = u8::try_from(value.unsigned()?).map_err(|_| out_of_range("t", value))?;
            if u32::from(number) >= 1 << bits {
                return Err(out_of_range("t", value));
            }
            packed.push(number);
        }
        Kind::FixedBytes(size) => append_filled(packed, value.bytes()?, size),
        Kind::CountedBytes => {
            let bytes = value.bytes()?;
            pack_unsigned(packed, bytes.len() as u64);
            packed.extend(bytes);
        }
        Kind::Bytes => packed.extend(value.bytes()?),
    }
    Ok(())
}

/// Appends `bytes`, cut or filled with NUL to `size`.
fn append_filled(packed: &mut Vec<u8>, bytes: &[u8], size: usize) {
    let end = packed.len() + size;
    packed.extend(bytes.iter().take(size));
    packed.resize(end, 0);
}

fn take<'a>(kind: Kind, packed: &mut &'a [u8]) -> Result<Option<Value<'a>>> {
    Ok(Some(match kind {
        Kind::Padding(size) => {
            take_bytes(packed, size)?;
            return Ok(None);
        }
        Kind::SignedByte => Value::Signed(i64::from((take_byte(packed)? ^ 0x80).cast_signed())),
        Kind::UnsignedByte => Value::Unsigned(u64::from(take_byte(packed)?)),
        Kind::Bits(bits) => {
            let number = Value::Unsigned(u64::from(take_byte(packed)?));
            if number.unsigned()? >= 1 << bits {
                return Err(out_of_range("t", number));
            }
            number
        }
        Kind::Signed => Value::Signed(unpack_signed(packed)?),
        Kind::Unsigned => Value::Unsigned(unpack_unsigned(packed)?),
        Kind::FixedText(size) => Value::Text(text(take_bytes(packed, size)?)?),
        Kind::Text => {
            let end = packed.iter().position(|&byte| byte == 0);
            let end = end.ok_or_else(|| Error::invalid("a text column has no NUL at its end"))?;
            let bytes = take_bytes(packed, end)?;
            take_byte(packed)?;
            Value::Text(text(bytes)?)
        }
        Kind::FixedBytes(size) => Value::Bytes(take_bytes(packed, size)?),
        Kind::CountedBytes => {
            let size = unpack_unsigned(packed)?;
            Value::Bytes(take_bytes(packed, usize::try_from(size).unwrap_or(usize::MAX))?)
        }
        Kind::Bytes => Value::Bytes(std::mem::take(packed)),
    }))
}

fn take_byte(packed: &mut &[u8]) -> Result<u8> {
    Ok(take_bytes(packed, 1)?.first().copied().unwrap_or_default())
}

fn take_bytes<'a>(packed: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (bytes, rest) = packed
        .split_at_checked(count)
        .ok_or_else(|| Error::invalid("a packed row ends before its last column"))?;
    *packed = rest;
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|error| Error::invalid(format!("a text column is not UTF-8: {error}")))
}

fn mismatch(wanted: &str, value: Value<'_>) -> Error {
    Error::invalid(format!("{} was given where the format wants {wanted}", value.name()))
}

fn out_of_range(letter: &str, value: Value<'_>) -> Error {
    let number = match value {
        Value::Signed(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        other => other.name().to_owned(),
    };
    Error::invalid(format!("{number} is out of range for a column {letter}"))
}
