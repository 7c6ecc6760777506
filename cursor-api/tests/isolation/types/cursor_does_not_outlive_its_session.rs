//! The cursor would work in a session that has gone.

fn main() -> rshelve::Result<()> {
    let connection = rshelve::Connection::open("spam", Default::default())?;
    let cursor = {
        let session = connection.open_session()?;
        session.open_cursor("stock")?
    };
    drop(cursor);
    Ok(())
}
