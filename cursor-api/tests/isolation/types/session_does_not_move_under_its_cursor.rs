//! The session would go to another thread while its cursor stays.

fn main() -> rshelve::Result<()> {
    let connection = rshelve::Connection::open("spam", Default::default())?;
    let session = connection.open_session()?;
    let mut cursor = session.open_cursor("stock")?;
    std::thread::spawn(move || session.begin());
    cursor.next()?;
    Ok(())
}
