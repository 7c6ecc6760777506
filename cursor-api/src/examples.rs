//! What the examples of the documentation begin and end with, where it would be the same for many.

/// An example with an open `session` and a `cursor` of it, as values, over the table `stock`, in which
/// each of `a`, `b` and `c` has the value `1`.
macro_rules! state_example {
    ($code:literal) => {
        concat!(
            "```
# use rshelve::state::{CursorState, Edge, Modify, Padding, SessionState};
# use rshelve::{Connection, CursorOptions, Error, Isolation, TransactionOptions};
# use std::cmp::Ordering;
# use std::ops::Bound;
# let folder = tempfile::tempdir()?;
# let connection = Connection::open(folder.path().join(\"spam\"), Default::default())?;
# let stock = connection.create_table(\"stock\", &Default::default())?;
# for key in [b\"a\", b\"b\", b\"c\"] {
#     stock.insert(key, b\"1\")?;
# }
# let mut session = SessionState::open(&connection)?;
# let mut cursor = session.open_cursor(\"stock\", &CursorOptions::new())?;
",
            $code,
            "
# let _ = (&mut cursor, &mut session);
# Ok::<(), Box<dyn std::error::Error>>(())
```"
        )
    };
}
