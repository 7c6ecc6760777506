//! Reading a log that nobody replays: whether its records say what records may say.

use super::{OnProgress, Progress, Report};
use crate::base::error::{Error, Result};
use crate::recovery::{Origin, visit_records};

/// Reads the log behind the checkpoint of a closed database, and adds what is wrong with it to
/// `report`. Nothing is changed.
///
/// # Errors
/// What `progress` returns.
pub fn check_log(
    origin: Origin<'_>,
    report: &mut Report,
    progress: &mut OnProgress<'_>,
) -> Result<()> {
    let mut records = 0_u64;
    let visited = visit_records(origin, &mut |_| {
        records += 1;
        if records.is_multiple_of(1024) {
            let state = Progress { blocks: report.blocks, ..Progress::default() };
            progress(&state)?;
        }
        Ok(())
    });
    report.log_records = records;
    match visited {
        Ok(()) => Ok(()),
        Err(error @ (Error::Corrupt(_) | Error::Io { .. } | Error::Unsupported { .. })) => {
            report.problem(None, error);
            Ok(())
        }
        Err(error) => Err(error),
    }
}
