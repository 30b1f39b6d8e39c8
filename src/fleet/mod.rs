//! Recognition by other processes: a gateway hands its recordings over to workers, through Redis.
//! ARCHITECTURE has the reasons, `queue::fleet` what both sides share.
//!
//! ```text
//! gateway        the transcriber of a gateway; room: the budget in Redis
//! transcription  a recording that workers recognise, as the gateway sees it
//! worker         takes assignments and recognises them
//! options        what it is and can recognise
//! card           what it says of itself
//! conclusion     what becomes of an assignment that it is done with
//! job            what it knows of the job
//! keeper         renews a lease
//! in_hand        what a worker knows of the recordings in its hands
//! ```

mod card;
mod conclusion;
pub mod gateway;
mod in_hand;
mod job;
mod keeper;
mod options;
mod room;
mod transcription;
pub mod worker;

pub use self::gateway::{FleetTranscriber, GatewayObserver, GatewayOptions};
pub use self::in_hand::InHand;
pub use self::options::{WorkerObserver, WorkerOptions};
pub use self::worker::FleetWorker;
