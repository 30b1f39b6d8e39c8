//! The scripts: one for every operation, which is what makes each of them atomic. In front of each
//! are the names of the keys and `lib.lua`.

use std::sync::LazyLock;

use redis::Script;

use super::keys;

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| {
            let code = concat!(include_str!("lib.lua"), include_str!($file));
            Script::new(&(keys::in_lua() + code))
        })
    };
}

pub static OPEN: LazyLock<Script> = script!("open.lua");
pub static ATTACH: LazyLock<Script> = script!("attach.lua");
pub static ADD: LazyLock<Script> = script!("add.lua");
pub static OBEY: LazyLock<Script> = script!("obey.lua");
pub static CLAIM: LazyLock<Script> = script!("claim.lua");
pub static BEGIN: LazyLock<Script> = script!("begin.lua");
pub static STORE_PROGRESS: LazyLock<Script> = script!("store_progress.lua");
pub static STORE_PREVIEW: LazyLock<Script> = script!("store_preview.lua");
pub static STORE_OUTBOX: LazyLock<Script> = script!("store_outbox.lua");
pub static FINISH: LazyLock<Script> = script!("finish.lua");
pub static FORGET: LazyLock<Script> = script!("forget.lua");
pub static RETRY: LazyLock<Script> = script!("retry.lua");
pub static RELEASE: LazyLock<Script> = script!("release.lua");
pub static BURY: LazyLock<Script> = script!("bury.lua");
pub static SET_ASIDE: LazyLock<Script> = script!("set_aside.lua");
pub static COUNTS: LazyLock<Script> = script!("counts.lua");
pub static OLDEST: LazyLock<Script> = script!("oldest.lua");
pub static ENTRIES: LazyLock<Script> = script!("entries.lua");
pub static RESULTS: LazyLock<Script> = script!("results.lua");
pub static REQUEUE: LazyLock<Script> = script!("requeue.lua");
pub static DISCARD: LazyLock<Script> = script!("discard.lua");
