//! Finds the program that decodes recordings, and tries it.

use tracing::{info, warn};

use crate::audio::AudioError;
use crate::decoding::{DecoderProgram, Walls};

/// The program that decodes, after a try that shows whether it starts and which walls stand around
/// its process.
pub async fn find() -> Result<DecoderProgram, AudioError> {
    let decoder = DecoderProgram::own()?;
    let tried = decoder.clone();
    let walls = tokio::task::spawn_blocking(move || tried.walls()).await;
    let Walls { standing, missing } = walls.map_err(|error| AudioError::NotStarted(error.to_string()))??;
    let (standing, missing) = (standing.join(", "), missing.join(", "));
    if missing.is_empty() {
        info!(event = "decoder_walls", standing, "Recordings are decoded in a process of their own");
    } else {
        warn!(
            event = "decoder_walls",
            standing,
            missing,
            "Recordings are decoded in a process of their own, but not all walls stand around it"
        );
    }
    Ok(decoder)
}
