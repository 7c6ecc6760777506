//! The value would be read from a page that the cursor has let go of.

fn main() -> rshelve::Result<()> {
    let connection = rshelve::Connection::open("spam", Default::default())?;
    let session = connection.open_session()?;
    let mut cursor = session.open_cursor("stock")?;
    let value = cursor.value()?;
    cursor.next()?;
    assert_eq!(value, b"12");
    Ok(())
}
