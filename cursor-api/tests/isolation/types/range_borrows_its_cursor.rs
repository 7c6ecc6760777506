//! The cursor would be moved under the iterator that walks with it.

fn main() -> rshelve::Result<()> {
    let connection = rshelve::Connection::open("spam", Default::default())?;
    let session = connection.open_session()?;
    let mut cursor = session.open_cursor("stock")?;
    let mut rows = cursor.range(..);
    cursor.reset();
    rows.next();
    Ok(())
}
