//! `CursorCore`: a handle on one of a session's cursors.

use std::cmp::Ordering as Order;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use rshelve::config::{Method, Settings};
use rshelve::packing::{Format, Kind};
use rshelve::state::{CursorState, Edge, Modify, Padding, SessionState};
use rshelve::{Code, Error};

use super::failure::Failure;
use super::session::SessionShared;
use super::values;

/// A cursor, as Python holds it.
#[pyclass(frozen, module = "rshelve._rshelve")]
pub struct CursorCore {
    session: Arc<SessionShared>,
    /// Its number in the session.
    number: usize,
    /// Set once, by whoever closes; the number may be another cursor's then.
    closed: AtomicBool,
    uri: String,
    key_format: Format,
    value_format: Format,
}

type Outcome<R> = Result<R, Failure>;

#[pymethods]
impl CursorCore {
    /// What it was opened on.
    #[getter]
    fn uri(&self, py: Python<'_>) -> PyResult<&str> {
        self.check().map_err(|failure| self.raise(py, "uri", failure))?;
        Ok(&self.uri)
    }

    /// The columns of its keys.
    #[getter]
    fn key_format(&self) -> &str {
        self.key_format.as_str()
    }

    /// The columns of its values.
    #[getter]
    fn value_format(&self) -> &str {
        self.value_format.as_str()
    }

    /// Whether it was closed, or its session.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.check().is_err()
            || self.session.with_at_once(py, |body| body.cursor(self.number).map(|_| ())).is_err()
    }

    /// Set the key.
    #[pyo3(signature = (*columns))]
    fn set_key(&self, py: Python<'_>, columns: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.set(py, "set_key", &self.key_format, columns, CursorState::set_key)
    }

    /// Set the value.
    #[pyo3(signature = (*columns))]
    fn set_value(&self, py: Python<'_>, columns: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.set(py, "set_value", &self.value_format, columns, CursorState::set_value)
    }

    /// The key: its column, or a list of them.
    fn get_key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let key = self.packed_key(py);
        let object = key.and_then(|key| values::unpack_scalar(py, &self.key_format, &key));
        object.map_err(|failure| self.raise(py, "get_key", failure))
    }

    /// The key, as a list of columns.
    fn get_keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let key = self.packed_key(py);
        let list = key.and_then(|key| values::unpack(py, &self.key_format, &key));
        list.map_err(|failure| self.raise(py, "get_key", failure))
    }

    /// The value: its column, or a list of them.
    fn get_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let value = self.packed_value(py);
        let object = value.and_then(|value| values::unpack_scalar(py, &self.value_format, &value));
        object.map_err(|failure| self.raise(py, "get_value", failure))
    }

    /// The value, as a list of columns.
    fn get_values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let value = self.packed_value(py);
        let list = value.and_then(|value| values::unpack(py, &self.value_format, &value));
        list.map_err(|failure| self.raise(py, "get_value", failure))
    }

    /// Go to the next record.
    fn next(&self, py: Python<'_>) -> PyResult<i32> {
        self.code(py, "next", |session, cursor| cursor.next(session))
    }

    /// Go to the previous record.
    fn prev(&self, py: Python<'_>) -> PyResult<i32> {
        self.code(py, "prev", |session, cursor| cursor.prev(session))
    }

    /// Go to the key that is set.
    fn search(&self, py: Python<'_>) -> PyResult<i32> {
        self.code(py, "search", |session, cursor| cursor.search(session))
    }

    /// Go to the key that is set, or near it.
    fn search_near(&self, py: Python<'_>) -> PyResult<i32> {
        let landed = self.with(py, |session, cursor| cursor.search_near(session));
        match landed {
            Ok(order) => Ok(sign(order)),
            Err(failure) => self.code_of(py, "search_near", failure),
        }
    }

    /// Insert the key and value that are set.
    fn insert(&self, py: Python<'_>) -> PyResult<i32> {
        self.done(py, "insert", |session, cursor| cursor.insert(session))
    }

    /// Update the record with the value that is set.
    fn update(&self, py: Python<'_>) -> PyResult<i32> {
        self.code(py, "update", |session, cursor| cursor.update(session))
    }

    /// Remove the record.
    fn remove(&self, py: Python<'_>) -> PyResult<i32> {
        self.code(py, "remove", |session, cursor| cursor.remove(session))
    }

    /// Keep others from writing the record.
    fn reserve(&self, py: Python<'_>) -> PyResult<i32> {
        self.done(py, "reserve", |session, cursor| cursor.reserve(session))
    }

    /// Change parts of the record's value: each a tuple (data, offset, size).
    fn modify(&self, py: Python<'_>, changes: Vec<(Vec<u8>, usize, usize)>) -> PyResult<i32> {
        let changes: Vec<_> =
            changes.into_iter().map(|(data, offset, size)| Modify { data, offset, size }).collect();
        let padding = self.padding(&changes);
        let outcome = padding.and_then(|padding| {
            self.session.with(py, |body| {
                self.check()?;
                let (session, cursor) = body.cursor(self.number)?;
                Ok(cursor.modify(session, &changes, padding)?)
            })
        });
        match outcome {
            Ok(()) => Ok(0),
            Err(failure) => self.code_of(py, "modify", failure),
        }
    }

    /// Set the largest key.
    fn largest_key(&self, py: Python<'_>) -> PyResult<i32> {
        self.code(py, "largest_key", |session, cursor| cursor.largest_key(session))
    }

    /// Go to no record.
    fn reset(&self, py: Python<'_>) -> PyResult<i32> {
        self.done(py, "reset", |session, cursor| {
            cursor.reset(session);
            Ok(())
        })
    }

    /// Set or clear bounds.
    fn bound(&self, py: Python<'_>, config: &str) -> PyResult<i32> {
        self.done(py, "bound", |session, cursor| {
            let settings = Settings::read(Method::Bound, config)?;
            let edge = match settings.text("bound").as_str() {
                "lower" => Some(Edge::Lower),
                "upper" => Some(Edge::Upper),
                _ => None,
            };
            match (settings.text("action").as_str(), edge) {
                ("clear", edge) => cursor.clear_bound(session, edge),
                (_, Some(edge)) => cursor.set_bound(session, edge, settings.flag("inclusive")),
                (_, None) => Err(Error::invalid(
                    "a bound must be specified when setting bounds, either \"lower\" or \"upper\"",
                )),
            }
        })
    }

    /// Compare the keys of two cursors: -1, 0 or 1.
    fn compare(&self, py: Python<'_>, other: &Self) -> PyResult<i32> {
        let order = if Arc::ptr_eq(&self.session, &other.session) {
            self.beside(py, other, CursorState::compare)
        } else {
            self.keys_of_both(py, other).map(|(one, other)| one.cmp(&other))
        };
        order.map(sign).map_err(|failure| self.raise(py, "compare", failure))
    }

    /// Whether the keys of two cursors are equal: 1 or 0.
    fn equals(&self, py: Python<'_>, other: &Self) -> PyResult<i32> {
        let equals = if Arc::ptr_eq(&self.session, &other.session) {
            self.beside(py, other, CursorState::equals)
        } else {
            self.keys_of_both(py, other).map(|(one, other)| one == other)
        };
        equals.map(i32::from).map_err(|failure| self.raise(py, "equals", failure))
    }

    /// Change the cursor's options.
    fn reconfigure(&self, py: Python<'_>, config: &str) -> PyResult<i32> {
        self.done(py, "reconfigure", |session, cursor| {
            let settings = Settings::read(Method::CursorReconfigure, config)?;
            cursor.leave(session);
            if settings.is_given("overwrite") {
                cursor.set_overwrite(settings.flag("overwrite"));
            }
            Ok(())
        })
    }

    /// Close the cursor.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = self.session.with(py, |body| {
            if self.closed.swap(true, Ordering::AcqRel) {
                return Err(Failure::Closed("the cursor"));
            }
            body.close_cursor(self.number)
        });
        closed.map_err(|failure| self.raise(py, "close", failure))
    }
}

impl CursorCore {
    pub(super) fn new(
        session: &Arc<SessionShared>,
        number: usize,
        uri: String,
        key_format: Format,
        value_format: Format,
    ) -> Self {
        let (session, closed) = (Arc::clone(session), AtomicBool::new(false));
        Self { session, number, closed, uri, key_format, value_format }
    }

    /// The handle of a cursor that was made as a duplicate of this one.
    pub(super) fn twin(&self, number: usize) -> Self {
        let (key_format, value_format) = (self.key_format.clone(), self.value_format.clone());
        Self::new(&self.session, number, self.uri.clone(), key_format, value_format)
    }

    /// Its number, for an operation of its session.
    pub(super) fn number_in(&self, session: &Arc<SessionShared>) -> Outcome<usize> {
        self.check()?;
        if !Arc::ptr_eq(&self.session, session) {
            return Err(Failure::invalid("the cursor belongs to another session"));
        }
        Ok(self.number)
    }

    fn check(&self) -> Outcome<()> {
        // Acquire: pairs with `close`; the number may be another cursor's from then on.
        if self.closed.load(Ordering::Acquire) {
            Err(Failure::Closed("the cursor"))
        } else {
            Ok(())
        }
    }

    fn with<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut SessionState, &mut CursorState) -> rshelve::Result<R> + Send,
    ) -> Outcome<R> {
        self.session.with(py, |body| {
            self.check()?;
            let (session, cursor) = body.cursor(self.number)?;
            Ok(work(session, cursor)?)
        })
    }

    /// Runs an operation that returns 0 or WT_NOTFOUND.
    fn code(
        &self,
        py: Python<'_>,
        method: &str,
        work: impl FnOnce(&mut SessionState, &mut CursorState) -> rshelve::Result<()> + Send,
    ) -> PyResult<i32> {
        match self.with(py, work) {
            Ok(()) => Ok(0),
            Err(failure) => self.code_of(py, method, failure),
        }
    }

    /// Runs an operation that returns 0 or raises.
    fn done(
        &self,
        py: Python<'_>,
        method: &str,
        work: impl FnOnce(&mut SessionState, &mut CursorState) -> rshelve::Result<()> + Send,
    ) -> PyResult<i32> {
        self.with(py, work).map(|()| 0).map_err(|failure| self.raise(py, method, failure))
    }

    fn code_of(&self, py: Python<'_>, method: &str, failure: Failure) -> PyResult<i32> {
        match failure {
            Failure::Engine(Error::NotFound) => Ok(Code::NOTFOUND.0),
            failure => Err(self.raise(py, method, failure)),
        }
    }

    fn raise(&self, py: Python<'_>, method: &str, failure: Failure) -> PyErr {
        let method = format!("{}, WT_CURSOR.{method}", self.uri);
        self.session.raise(py, &method, failure)
    }

    fn set(
        &self,
        py: Python<'_>,
        method: &str,
        format: &Format,
        columns: &Bound<'_, PyTuple>,
        set: fn(&mut CursorState, &[u8]),
    ) -> PyResult<()> {
        // Outside the lock: it looks at Python's objects.
        let packed = values::pack(format, columns);
        let outcome = packed.and_then(|packed| {
            self.session.with_at_once(py, |body| {
                self.check()?;
                set(body.cursor(self.number)?.1, &packed);
                Ok(())
            })
        });
        outcome.map_err(|failure| self.raise(py, method, failure))
    }

    /// A copy of the key; objects are made of it when the lock is free again.
    fn packed_key(&self, py: Python<'_>) -> Outcome<Vec<u8>> {
        self.session.with_at_once(py, |body| {
            self.check()?;
            let (session, cursor) = body.cursor(self.number)?;
            Ok(cursor.key(session)?.to_vec())
        })
    }

    /// A copy of the value, which may have to be read from the disk.
    fn packed_value(&self, py: Python<'_>) -> Outcome<Vec<u8>> {
        self.with(py, |session, cursor| Ok(cursor.value(session)?.to_vec()))
    }

    /// Asks about the keys of two cursors of one session.
    fn beside<R: Send>(
        &self,
        py: Python<'_>,
        other: &Self,
        ask: fn(&CursorState, &CursorState, &SessionState) -> rshelve::Result<R>,
    ) -> Outcome<R> {
        self.session.with_at_once(py, |body| {
            self.check()?;
            other.check()?;
            let (session, one, other) = body.pair(self.number, other.number)?;
            Ok(ask(one, other, session)?)
        })
    }

    /// The keys of cursors of two sessions, which must be over the same object. One session is asked
    /// after the other, so that no lock is held while another is waited for.
    fn keys_of_both(&self, py: Python<'_>, other: &Self) -> Outcome<(Vec<u8>, Vec<u8>)> {
        let ask = |cursor: &Self| {
            cursor.session.with_at_once(py, |body| {
                cursor.check()?;
                let (session, cursor) = body.cursor(cursor.number)?;
                Ok((cursor.object(), cursor.key(session)?.to_vec()))
            })
        };
        let ((one, key), (second, other_key)) = (ask(self)?, ask(other)?);
        if one != second {
            return Err(Failure::invalid("cursors must reference the same object"));
        }
        Ok((key, other_key))
    }

    /// What fills a value up to a change behind its end.
    fn padding(&self, changes: &[Modify]) -> Outcome<Padding> {
        if changes.is_empty() {
            return Err(Failure::invalid("illegal modify vector with 0 entries"));
        }
        match self.value_format.columns() {
            [Kind::Bytes] => Ok(Padding::Nul),
            [Kind::Text] if changes.iter().any(|change| change.data.contains(&0)) => {
                Err(Failure::invalid("a NUL inside the text of a column S would end it"))
            }
            [Kind::Text] => Ok(Padding::Space),
            _ => Err(Failure::invalid("modify is for values of one column, S or u")),
        }
    }
}

impl Drop for CursorCore {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.session.drop_later(self.number);
        }
    }
}

fn sign(order: Order) -> i32 {
    match order {
        Order::Less => -1,
        Order::Equal => 0,
        Order::Greater => 1,
    }
}
