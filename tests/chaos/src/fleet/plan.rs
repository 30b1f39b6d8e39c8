//! What happens to each process of a fleet: drawn from the seed before anything starts.

use std::time::Duration;

use super::Options;
use crate::crash_points::{POINTS, PUBLISHED, WORKER_POINTS};
use crate::plan::News;
use crate::random::Random;
use crate::recordings::Kind;

/// What a process of a fleet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Gateway,
    Worker,
    /// Both in one: `stenogram run`.
    Whole,
}

/// Everything that happens.
pub struct Plan {
    /// The lives of each gateway, then of each worker.
    pub lives: Vec<Vec<Life>>,
    pub messages: Vec<Message>,
    /// Redis is killed after the first time since it was back, for the second.
    pub redis: Vec<(Duration, Duration)>,
}

/// From a start of a process to its end.
#[derive(Default)]
pub struct Life {
    /// One after the other, each after a pause.
    pub troubles: Vec<(Duration, Trouble)>,
    pub end: End,
    /// How long it stays away afterwards.
    pub down: Duration,
}

#[derive(Clone, Copy)]
pub enum Trouble {
    /// Its connections to Redis are cut, and none is admitted for so long.
    Cut(Duration),
    /// Nothing gets through to Redis or back.
    Stall(Duration),
    /// The process does not run.
    Freeze(Duration),
}

#[derive(Clone, Copy)]
pub enum End {
    /// SIGKILL, after so long.
    Kill(Duration),
    /// SIGKILL at this pass of that point; after so long if it does not come to that.
    Crash(&'static str, u32, Duration),
    /// SIGTERM, after so long.
    Stop(Duration),
}

impl Default for End {
    fn default() -> Self {
        Self::Kill(Duration::ZERO)
    }
}

/// A voice message to an account.
pub struct Message {
    pub account: usize,
    /// The number of the chat.
    pub chat: usize,
    pub kind: Kind,
    pub news: News,
}

impl Plan {
    pub fn draw(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        let processes = options.gateways + options.workers;
        let mut order: Vec<usize> = (0..options.kills + options.stops).collect();
        random.shuffle(&mut order);
        let mut lives: Vec<Vec<Life>> = (0..processes).map(|_| Vec::new()).collect();
        for (n, number) in order.into_iter().enumerate() {
            let process = n % processes;
            let role = if process < options.gateways { Role::Gateway } else { Role::Worker };
            let is_stop = number >= options.kills;
            lives[process].push(life(role, is_stop, number, options, &mut random));
        }
        let all: Vec<&mut Life> = lives.iter_mut().flatten().collect();
        troubles(all, options, &mut random);
        let redis = (0..options.redis_kills)
            .map(|_| {
                (
                    random.seconds(0.5, 2.0 * whole(options) / options.redis_kills as f64),
                    random.seconds(0.1, 1.5),
                )
            })
            .collect();
        Self { messages: messages(options, &mut random), lives, redis }
    }
}

/// How many seconds it all takes, about.
fn whole(options: &Options) -> f64 {
    let lives = (options.kills + options.stops).div_ceil(options.gateways + options.workers);
    lives as f64 * (options.life + 1.5)
}

fn life(role: Role, is_stop: bool, number: usize, options: &Options, random: &mut Random) -> Life {
    let lived = |random: &mut Random| random.seconds(0.4 * options.life, 1.6 * options.life);
    let end = match number {
        _ if is_stop => End::Stop(lived(random)),
        _ if number.is_multiple_of(2) => {
            let points: &[&str] = if role == Role::Gateway { &POINTS } else { &WORKER_POINTS };
            let point = points[random.below(points.len())];
            // How often a process passes a point in its life; few recordings have several stretches.
            let most = if point == PUBLISHED { options.life / 2.0 } else { options.life * 2.0 };
            let within = Duration::from_secs_f64(options.life * 2.5);
            End::Crash(point, 1 + random.below((most as usize).max(1)) as u32, within)
        }
        // Hardly started.
        _ if number % 10 == 1 => End::Kill(random.seconds(0.0, 0.5)),
        _ => End::Kill(lived(random)),
    };
    // Most come back at once; some leave the others alone for a while.
    let down = if random.below(5) == 0 { random.seconds(0.5, 5.0) } else { random.seconds(0.0, 0.5) };
    Life { troubles: Vec::new(), end, down }
}

/// Hands out the troubles to the lives that are long enough for one.
fn troubles(mut lives: Vec<&mut Life>, options: &Options, random: &mut Random) {
    lives.retain(|life| !matches!(life.end, End::Kill(after) if after < Duration::from_secs(1)));
    if lives.is_empty() {
        return;
    }
    for n in 0..options.cuts + options.freezes {
        // As often shorter than a lease as longer.
        let time = random.seconds_log(0.1, (options.life * 0.8).clamp(0.2, 8.0));
        let trouble = match n {
            _ if n >= options.cuts => Trouble::Freeze(time),
            _ if n % 3 == 2 => Trouble::Stall(time),
            _ => Trouble::Cut(time),
        };
        let pause = random.seconds(0.2, (options.life / 3.0).max(0.3));
        let at = random.below(lives.len());
        lives[at].troubles.push((pause, trouble));
    }
}

fn messages(options: &Options, random: &mut Random) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..options.messages)
        .map(|n| {
            let kind = if n < options.corrupt {
                Kind::Corrupt(random.next())
            } else if n < options.corrupt + options.spoken {
                Kind::Speech(n)
            } else {
                Kind::Tone(random.next())
            };
            let news = match random.below(50) {
                0 => News::Twice(random.seconds(0.0, 1.0)),
                1 => News::Never,
                _ => News::Once,
            };
            let account = random.below(options.gateways);
            Message { account, chat: random.below(options.chats), kind, news }
        })
        .collect();
    random.shuffle(&mut messages);
    // The last one of each account is told of in the ordinary way: it uncovers what was not.
    for account in 0..options.gateways {
        let last = messages.iter_mut().rfind(|message| message.account == account);
        if let Some(last) = last {
            last.news = News::Once;
        }
    }
    messages
}
