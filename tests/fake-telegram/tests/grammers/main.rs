//! An unmodified grammers client against the loopback Telegram.

mod faults;
mod files;
mod login;
mod parallel;
mod sending;
mod support;
mod updates;
