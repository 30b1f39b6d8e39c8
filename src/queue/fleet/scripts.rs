//! The scripts of a fleet. In front of each are the names of the keys, the queue's library and
//! `lib.lua`.

use std::sync::LazyLock;

use redis::Script;

use crate::queue::redis::keys;

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| {
            let code =
                concat!(include_str!("../redis/lib.lua"), include_str!("lib.lua"), include_str!($file));
            Script::new(&(keys::in_lua() + code))
        })
    };
}

pub static FEED: LazyLock<Script> = script!("feed.lua");
pub static ASSIGN: LazyLock<Script> = script!("assign.lua");
pub static READ: LazyLock<Script> = script!("read.lua");
pub static TAKE: LazyLock<Script> = script!("take.lua");
pub static BEGIN: LazyLock<Script> = script!("begin.lua");
pub static RENEW: LazyLock<Script> = script!("renew.lua");
pub static PUBLISH: LazyLock<Script> = script!("publish.lua");
pub static FINISH: LazyLock<Script> = script!("finish.lua");
pub static GIVE_BACK: LazyLock<Script> = script!("give_back.lua");
pub static ANNOUNCE: LazyLock<Script> = script!("announce.lua");
pub static ACCOUNTS: LazyLock<Script> = script!("accounts.lua");
pub static BEAT: LazyLock<Script> = script!("beat.lua");
pub static WORKERS: LazyLock<Script> = script!("workers.lua");
