//! Types as the bytes of a value.

use crate::{Error, Result};

/// A type that can be kept as the bytes of a value.
///
/// Integers are big-endian with their sign bit turned over, text and bytes are themselves, `bool` is
/// a byte, `()` is nothing. In a tuple, text and bytes that are not last end in two zero bytes, and a
/// zero byte within becomes two (`00 ff`). So the bytes sort as the values do: see [`Key`](super::Key).
///
/// ```
/// use rshelve::typed::Stored;
/// let mut bytes = Vec::new();
/// (7_u16, "eggs").encode(&mut bytes);
/// assert_eq!(bytes, b"\x00\x07eggs");
/// assert_eq!(<(u16, &str)>::decode(&bytes)?, (7, "eggs".to_owned()));
/// # Ok::<(), rshelve::Error>(())
/// ```
pub trait Stored {
    /// What is read back.
    type Owned;

    /// Appends the bytes of a value that stands alone, or last in a tuple.
    ///
    /// ```
    /// use rshelve::typed::Stored;
    /// let mut bytes = Vec::new();
    /// (-1_i16).encode(&mut bytes);
    /// assert_eq!(bytes, [0x7f, 0xff]);
    /// ```
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`encode`](Self::encode) wrote: all of `bytes`.
    ///
    /// ```
    /// use rshelve::typed::Stored;
    /// assert_eq!(i16::decode(&[0x7f, 0xff])?, -1);
    /// assert!(i16::decode(b"eggs").is_err());
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when the bytes are not of this type.
    fn decode(bytes: &[u8]) -> Result<Self::Owned>;

    /// Appends the bytes of a value that others follow in a tuple.
    ///
    /// ```
    /// use rshelve::typed::Stored;
    /// let mut bytes = Vec::new();
    /// "eggs".encode_inner(&mut bytes);
    /// assert_eq!(bytes, b"eggs\0\0");
    /// ```
    fn encode_inner(&self, out: &mut Vec<u8>);

    /// Reads what [`encode_inner`](Self::encode_inner) wrote, and moves `bytes` behind it.
    ///
    /// ```
    /// use rshelve::typed::Stored;
    /// let mut bytes = &b"eggs\0\0ham"[..];
    /// assert_eq!(str::decode_inner(&mut bytes)?, "eggs");
    /// assert_eq!(bytes, b"ham");
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned>;
}

fn mismatch(what: &str) -> Error {
    Error::invalid(format!("the bytes are not {what}; was the table written with other types?"))
}

macro_rules! integers {
    ($($type:ident = $unsigned:ident ^ $sign:expr,)*) => {$(
        impl Stored for $type {
            type Owned = $type;

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&(*self as $unsigned ^ $sign).to_be_bytes());
            }

            fn decode(mut bytes: &[u8]) -> Result<$type> {
                let number = Self::decode_inner(&mut bytes)?;
                if bytes.is_empty() { Ok(number) } else { Err(mismatch(stringify!($type))) }
            }

            fn encode_inner(&self, out: &mut Vec<u8>) {
                self.encode(out);
            }

            fn decode_inner(bytes: &mut &[u8]) -> Result<$type> {
                let (first, rest) = bytes
                    .split_first_chunk::<{ size_of::<$type>() }>()
                    .ok_or_else(|| mismatch(stringify!($type)))?;
                *bytes = rest;
                Ok(($unsigned::from_be_bytes(*first) ^ $sign) as $type)
            }
        }
    )*};
}

integers! {
    u8 = u8 ^ 0,
    u16 = u16 ^ 0,
    u32 = u32 ^ 0,
    u64 = u64 ^ 0,
    u128 = u128 ^ 0,
    i8 = u8 ^ 1 << 7,
    i16 = u16 ^ 1 << 15,
    i32 = u32 ^ 1 << 31,
    i64 = u64 ^ 1 << 63,
    i128 = u128 ^ 1 << 127,
}

impl Stored for bool {
    type Owned = bool;

    fn encode(&self, out: &mut Vec<u8>) {
        u8::from(*self).encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<bool> {
        Ok(u8::decode(bytes)? != 0)
    }

    fn encode_inner(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn decode_inner(bytes: &mut &[u8]) -> Result<bool> {
        Ok(u8::decode_inner(bytes)? != 0)
    }
}

impl Stored for () {
    type Owned = ();

    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() { Ok(()) } else { Err(mismatch("nothing")) }
    }

    fn encode_inner(&self, _out: &mut Vec<u8>) {}

    fn decode_inner(_bytes: &mut &[u8]) -> Result<()> {
        Ok(())
    }
}

impl Stored for [u8] {
    type Owned = Vec<u8>;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(bytes.to_vec())
    }

    fn encode_inner(&self, out: &mut Vec<u8>) {
        for byte in self {
            out.push(*byte);
            if *byte == 0 {
                out.push(0xff);
            }
        }
        out.extend_from_slice(&[0, 0]);
    }

    fn decode_inner(bytes: &mut &[u8]) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        loop {
            match bytes {
                [0, 0, rest @ ..] => {
                    *bytes = rest;
                    return Ok(found);
                }
                [0, 0xff, rest @ ..] => {
                    found.push(0);
                    *bytes = rest;
                }
                [0, ..] | [] => return Err(mismatch("bytes inside a tuple")),
                [byte, rest @ ..] => {
                    found.push(*byte);
                    *bytes = rest;
                }
            }
        }
    }
}

impl Stored for str {
    type Owned = String;

    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<String> {
        text(bytes.to_vec())
    }

    fn encode_inner(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode_inner(out);
    }

    fn decode_inner(bytes: &mut &[u8]) -> Result<String> {
        text(<[u8]>::decode_inner(bytes)?)
    }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| mismatch("text in UTF-8"))
}

macro_rules! like {
    ($([$($generics:tt)*] $type:ty = $other:ty,)*) => {$(
        impl<$($generics)*> Stored for $type {
            type Owned = <$other as Stored>::Owned;

            fn encode(&self, out: &mut Vec<u8>) {
                <$other>::encode(self, out);
            }

            fn decode(bytes: &[u8]) -> Result<Self::Owned> {
                <$other>::decode(bytes)
            }

            fn encode_inner(&self, out: &mut Vec<u8>) {
                <$other>::encode_inner(self, out);
            }

            fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned> {
                <$other>::decode_inner(bytes)
            }
        }
    )*};
}

like! {
    [] String = str,
    [] Vec<u8> = [u8],
    ['a, T: Stored + ?Sized] &'a T = T,
}

impl<const N: usize> Stored for [u8; N] {
    type Owned = [u8; N];

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Result<[u8; N]> {
        bytes.try_into().map_err(|_| mismatch(&format!("{N} bytes")))
    }

    fn encode_inner(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn decode_inner(bytes: &mut &[u8]) -> Result<[u8; N]> {
        let (first, rest) =
            bytes.split_first_chunk::<N>().ok_or_else(|| mismatch(&format!("{N} bytes")))?;
        *bytes = rest;
        Ok(*first)
    }
}

macro_rules! tuples {
    ($(($($inner:ident)*; $last:ident),)*) => {$(
        impl<$($inner: Stored,)* $last: Stored> Stored for ($($inner,)* $last,) {
            type Owned = ($($inner::Owned,)* $last::Owned,);

            #[allow(non_snake_case)]
            fn encode(&self, out: &mut Vec<u8>) {
                let ($($inner,)* $last,) = self;
                $($inner.encode_inner(out);)*
                $last.encode(out);
            }

            #[allow(unused_mut)]
            fn decode(mut bytes: &[u8]) -> Result<Self::Owned> {
                Ok(($($inner::decode_inner(&mut bytes)?,)* $last::decode(bytes)?,))
            }

            #[allow(non_snake_case)]
            fn encode_inner(&self, out: &mut Vec<u8>) {
                let ($($inner,)* $last,) = self;
                $($inner.encode_inner(out);)*
                $last.encode_inner(out);
            }

            fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned> {
                Ok(($($inner::decode_inner(bytes)?,)* $last::decode_inner(bytes)?,))
            }
        }
    )*};
}

tuples! {
    (; A),
    (A; B),
    (A B; C),
    (A B C; D),
    (A B C D; E),
    (A B C D E; F),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes in the order of the values, and back.
    fn check<T: Stored<Owned: PartialEq<T> + std::fmt::Debug> + Ord>(mut values: Vec<T>) {
        values.sort();
        let packed: Vec<Vec<u8>> = values
            .iter()
            .map(|value| {
                let mut bytes = Vec::new();
                value.encode(&mut bytes);
                assert!(T::decode(&bytes).unwrap() == *value);
                bytes
            })
            .collect();
        assert!(packed.is_sorted(), "{packed:?}");
    }

    #[test]
    fn stored_integers_sort_as_they_do() {
        check(vec![i64::MIN, -300, -1, 0, 1, 255, 256, i64::MAX]);
        check(vec![0_u16, 1, 255, 256, u16::MAX]);
        check(vec![i8::MIN, -1, 0, i8::MAX]);
        check(vec![(-1_i32, 7_u8), (-1, 8), (0, 0), (1, 0)]);
    }

    #[test]
    fn stored_text_in_a_tuple_sorts_as_alone() {
        let texts = ["", "a", "a\0", "a\0\0", "a\0b", "aa", "b", "\u{ff}"];
        check(texts.iter().map(|text| (text.to_string(), 5_u8)).collect());
        check(texts.iter().map(|text| (text.as_bytes().to_vec(), text.to_string())).collect());
        let mut pairs = Vec::new();
        for one in texts {
            for two in texts {
                pairs.push((one.to_owned(), (two.to_owned(), 1_i8), two.to_owned()));
            }
        }
        check(pairs);
    }

    #[test]
    fn stored_of_another_type_is_an_error() {
        assert!(u32::decode(b"abc").is_err());
        assert!(u16::decode(b"abc").is_err());
        assert!(<(String, u8)>::decode(b"no end").is_err());
        assert!(<(String, u8)>::decode(b"a\0\x01b").is_err());
        assert!(String::decode(b"\xff").is_err());
        assert!(<()>::decode(b"x").is_err());
    }
}
