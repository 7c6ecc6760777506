//! Columns as Python's objects, and as packed bytes.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyString, PyTuple};
use rshelve::Error;
use rshelve::packing::{Format, Kind, Value};

use super::failure::Failure;

/// Packs the columns of `values`. One that is too many or missing, out of range, or holds a NUL
/// where none may be is invalid; one of another type is a TypeError.
pub fn pack(format: &Format, values: &Bound<'_, PyTuple>) -> Result<Vec<u8>, Failure> {
    let mut packed = Vec::new();
    let mut packer = format.packer(&mut packed);
    for value in values.iter_borrowed() {
        match packer.wants() {
            Some(Kind::Text | Kind::FixedText(_)) => {
                let text = value.cast::<PyString>().map_err(|_| mistyped(&value, "str"))?;
                packer.put(Value::Text(text.to_str()?))?;
            }
            Some(Kind::Bytes | Kind::CountedBytes | Kind::FixedBytes(_)) => {
                put_bytes(&value, |bytes| packer.put(Value::Bytes(bytes)))?;
            }
            Some(Kind::Padding(_)) | None => packer.put(Value::Bytes(&[]))?,
            Some(_) => packer.put(number(&value)?)?,
        }
    }
    packer.finish()?;
    Ok(packed)
}

/// Hands on the bytes of a `u`: of bytes, or of text.
fn put_bytes(
    value: &Bound<'_, PyAny>,
    put: impl FnOnce(&[u8]) -> Result<(), Error>,
) -> Result<(), Failure> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        put(bytes.as_bytes())?;
    } else if let Ok(text) = value.cast::<PyString>() {
        put(text.to_str()?.as_bytes())?;
    } else if let Ok(bytes) = value.cast::<PyByteArray>() {
        put(&bytes.to_vec())?;
    } else {
        return Err(mistyped(value, "bytes or str"));
    }
    Ok(())
}

fn number(value: &Bound<'_, PyAny>) -> Result<Value<'static>, Failure> {
    if let Ok(number) = value.extract::<i64>() {
        return Ok(Value::Signed(number));
    }
    if let Ok(number) = value.extract::<u64>() {
        return Ok(Value::Unsigned(number));
    }
    if value.is_instance_of::<pyo3::types::PyInt>() {
        return Err(Failure::invalid(format!("{value} is out of range for a number of 64 bits")));
    }
    Err(mistyped(value, "int"))
}

fn mistyped(value: &Bound<'_, PyAny>, wanted: &str) -> Failure {
    let type_name = value.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("{wanted} is wanted for this column, not {type_name}")).into()
}

/// The columns of `packed`, as a list.
pub fn unpack<'py>(
    py: Python<'py>,
    format: &Format,
    packed: &[u8],
) -> Result<Bound<'py, PyList>, Failure> {
    let list = PyList::empty(py);
    for value in format.unpack(packed)? {
        list.append(object(py, value)?)?;
    }
    Ok(list)
}

/// The columns of `packed`: the one that there is, or a list.
pub fn unpack_scalar<'py>(
    py: Python<'py>,
    format: &Format,
    packed: &[u8],
) -> Result<Bound<'py, PyAny>, Failure> {
    if format.is_raw() {
        return Ok(PyBytes::new(py, packed).into_any());
    }
    match format.unpack(packed)?.as_slice() {
        [value] => Ok(object(py, *value)?),
        _ => Ok(unpack(py, format, packed)?.into_any()),
    }
}

fn object<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Signed(number) => number.into_pyobject(py)?.into_any(),
        Value::Unsigned(number) => number.into_pyobject(py)?.into_any(),
        Value::Text(text) => PyString::new(py, text).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
    })
}

/// Pack values by a format.
#[pyfunction]
#[pyo3(signature = (format, *values))]
pub fn wt_pack<'py>(
    py: Python<'py>,
    format: &str,
    values: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyBytes>> {
    let format = parse(format)?;
    let packed = pack(&format, values).map_err(plain)?;
    Ok(PyBytes::new(py, &packed))
}

/// Unpack the values that were packed by a format.
#[pyfunction]
pub fn wt_unpack<'py>(
    py: Python<'py>,
    format: &str,
    packed: &[u8],
) -> PyResult<Bound<'py, PyList>> {
    unpack(py, &parse(format)?, packed).map_err(plain)
}

fn parse(format: &str) -> PyResult<Format> {
    format.parse().map_err(|error| plain(Failure::Engine(error)))
}

/// Without a connection, what is invalid is a ValueError.
fn plain(failure: Failure) -> PyErr {
    match failure {
        Failure::Python(error) => error,
        Failure::Engine(error) => PyValueError::new_err(error.to_string()),
        Failure::Closed(what) => PyValueError::new_err(what),
        Failure::Damaged(what) => PyValueError::new_err(what),
        Failure::Forked => PyValueError::new_err("the parent's handle"),
    }
}
