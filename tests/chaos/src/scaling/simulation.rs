//! A fleet on paper: accounts that receive voice messages through the day, and workers that
//! recognise them. What is measured on one machine is a number here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::random::Random;

/// Messages by the hour of the day, of a thousand: few at night, most in the evening.
const HOURS: [u32; 24] =
    [14, 8, 5, 4, 4, 7, 16, 32, 44, 48, 50, 52, 56, 54, 52, 52, 54, 58, 66, 76, 82, 76, 56, 34];
/// An hour in which everybody writes: at the turn of the year, say, and so many times as much.
const PEAK_HOUR: usize = 20;
/// The longest recording, in seconds.
const LONGEST: f64 = 900.0;
/// How spread out the lengths are: the standard deviation of their logarithm.
const SPREAD: f64 = 1.0;
const DAY: f64 = 86_400.0;

/// Simulates a day of a large fleet.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 1000)]
    accounts: usize,
    /// Messages of an account in a day
    #[arg(long, default_value_t = 100)]
    messages: usize,
    /// Seconds of a recording, on average
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
    /// How many times faster than speech a worker is
    #[arg(long, default_value_t = 8.0)]
    speed: f64,
    /// Seconds that a recording takes a worker whatever its length
    #[arg(long, default_value_t = 0.3)]
    base: f64,
    /// Numbers of workers to look at [default: from just too few to plenty]
    #[arg(long, value_delimiter = ',')]
    workers: Vec<usize>,
    /// How many times as much comes in the hour from 20 to 21 as on an ordinary day
    #[arg(long, default_value_t = 1.0)]
    peak: f64,
    /// Bytes of Redis for a queued minute of speech
    #[arg(long, default_value_t = 172_000)]
    minute_bytes: u64,
    /// Bytes of Redis for a queued message without its recording
    #[arg(long, default_value_t = 7200)]
    job_bytes: u64,
    /// Milliseconds of one core of Redis for a message
    #[arg(long, default_value_t = 4.0)]
    redis_ms: f64,
    /// Milliseconds of a core of its gateway for a message
    #[arg(long, default_value_t = 3.5)]
    gateway_ms: f64,
    /// KiB of a gateway
    #[arg(long, default_value_t = 21_000)]
    gateway_kib: u64,
    /// Milliseconds of a core of Redis in a second for a gateway at rest
    #[arg(long, default_value_t = 0.03)]
    rest_redis_ms: f64,
    /// And of its own core
    #[arg(long, default_value_t = 0.1)]
    rest_ms: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A recording: when it comes, and its length, in seconds.
struct Recording {
    at: f64,
    length: f64,
}

/// What came of a day.
struct Outcome {
    /// From coming to being recognised, seconds: half of them, 95 and 99 of 100, the longest.
    waits: [f64; 4],
    /// The most that waited or was worked on at a time.
    queued: usize,
    queued_minutes: f64,
    busy: f64,
}

pub fn simulate(arguments: &Arguments) -> bool {
    let recordings = day(arguments);
    let hours = recordings.iter().map(|recording| recording.length).sum::<f64>() / 3600.0;
    let busiest = busiest_minute(&recordings);
    println!(
        "{} accounts, {} messages, {hours:.0} hours of speech in a day; {busiest} messages in the busiest minute",
        arguments.accounts,
        recordings.len()
    );
    let (per_second, accounts) = (f64::from(busiest) / 60.0, arguments.accounts as f64);
    println!(
        "in that minute Redis: {:.1} % of a core; all gateways: {:.1} % of a core; they have {:.1} GiB resident",
        (per_second * arguments.redis_ms + accounts * arguments.rest_redis_ms) / 10.0,
        (per_second * arguments.gateway_ms + accounts * arguments.rest_ms) / 10.0,
        accounts * arguments.gateway_kib as f64 / 1048576.0
    );
    let needed = recordings.iter().map(|recording| arguments.cost(recording)).sum::<f64>() / DAY;
    let mut workers = if arguments.workers.is_empty() {
        [1.3, 1.7, 2.0, 2.5, 3.5].map(|times| (needed * times).ceil() as usize).to_vec()
    } else {
        arguments.workers.clone()
    };
    workers.dedup();
    println!("workers  busy   seconds to the text: half  95 %  99 %  longest   most queued   its Redis");
    for workers in workers {
        let Outcome { waits, queued, queued_minutes, busy } = work(arguments, &recordings, workers);
        let bytes =
            queued_minutes * arguments.minute_bytes as f64 + queued as f64 * arguments.job_bytes as f64;
        println!(
            "{workers:7}  {:3.0} %  {:24.1} {:5.1} {:5.1} {:8.1} {queued:8} msgs {:7.1} MB",
            busy * 100.0,
            waits[0],
            waits[1],
            waits[2],
            waits[3],
            bytes / 1e6
        );
    }
    true
}

impl Arguments {
    /// How long a recording takes a worker.
    fn cost(&self, recording: &Recording) -> f64 {
        self.base + recording.length / self.speed
    }
}

/// Everything that comes in a day, in order.
fn day(arguments: &Arguments) -> Vec<Recording> {
    let mut random = Random::new(arguments.seed);
    let mut weights = HOURS.map(f64::from);
    let ordinary: f64 = weights.iter().sum();
    weights[PEAK_HOUR] *= arguments.peak;
    let sum: f64 = weights.iter().sum();
    let count = (arguments.accounts * arguments.messages) as f64 * sum / ordinary;
    // Of a lognormal distribution with this mean.
    let middle = arguments.seconds.ln() - SPREAD * SPREAD / 2.0;
    let mut recordings: Vec<Recording> = (0..count as usize)
        .map(|_| {
            let mut place = random.share() * sum;
            let hour = weights.iter().position(|weight| {
                place -= weight;
                place < 0.0
            });
            let at = (hour.unwrap_or(23) as f64 + random.share()) * 3600.0;
            let length = (middle + SPREAD * normal(&mut random)).exp().clamp(1.0, LONGEST);
            Recording { at, length }
        })
        .collect();
    recordings.sort_by(|one, other| one.at.total_cmp(&other.at));
    recordings
}

/// Normally distributed, by Box and Muller.
fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.share()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.share()).cos()
}

fn busiest_minute(recordings: &[Recording]) -> u32 {
    let mut minutes = vec![0; 24 * 60];
    for recording in recordings {
        minutes[(recording.at / 60.0) as usize % (24 * 60)] += 1;
    }
    minutes.into_iter().max().unwrap_or(0)
}

/// The recordings in the order in which they come, each to the worker that is free first.
fn work(arguments: &Arguments, recordings: &[Recording], workers: usize) -> Outcome {
    // Microseconds, which can be compared: when each worker is free, and when what is unfinished ends.
    let micros = |seconds: f64| (seconds * 1e6) as u64;
    let mut free: BinaryHeap<Reverse<u64>> = (0..workers).map(|_| Reverse(0)).collect();
    let mut unfinished: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let (mut waits, mut queued, mut most_ms, mut now_ms, mut worked) = (Vec::new(), 0, 0, 0_u64, 0.0);
    for recording in recordings {
        let at = micros(recording.at);
        while let Some(Reverse((end, length))) =
            unfinished.peek().copied().filter(|Reverse((end, _))| *end <= at)
        {
            debug_assert!(end <= at);
            now_ms -= length;
            unfinished.pop();
        }
        let Reverse(idle_from) = free.pop().expect("there is a worker");
        let cost = arguments.cost(recording);
        worked += cost;
        let end = idle_from.max(at) + micros(cost);
        free.push(Reverse(end));
        waits.push((end - at) as f64 / 1e6);
        let length_ms = (recording.length * 1000.0) as u64;
        unfinished.push(Reverse((end, length_ms)));
        now_ms += length_ms;
        queued = queued.max(unfinished.len());
        most_ms = most_ms.max(now_ms);
    }
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits.get(((waits.len() as f64 * share) as usize).min(waits.len() - 1)).copied();
    Outcome {
        waits: [0.5, 0.95, 0.99, 1.0].map(|share| at(share).unwrap_or(0.0)),
        queued,
        queued_minutes: most_ms as f64 / 60_000.0,
        busy: worked / DAY / workers as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        Arguments {
            accounts: 100,
            messages: 100,
            seconds: 15.0,
            speed: 10.0,
            base: 0.5,
            workers: Vec::new(),
            peak: 1.0,
            minute_bytes: 1,
            job_bytes: 1,
            redis_ms: 1.0,
            gateway_ms: 1.0,
            gateway_kib: 1,
            rest_redis_ms: 0.0,
            rest_ms: 0.0,
            seed: 1,
        }
    }

    #[test]
    fn a_worker_alone_does_one_after_the_other() {
        // Each takes two seconds.
        let recordings = [0.0, 0.0, 0.0, 100.0].map(|at| Recording { at, length: 15.0 });
        let Outcome { waits, queued, queued_minutes, .. } = work(&arguments(), &recordings, 1);
        assert_eq!((waits[3], queued, queued_minutes), (6.0, 3, 0.75));
        let Outcome { waits, queued, .. } = work(&arguments(), &recordings, 3);
        assert_eq!((waits[3], queued), (2.0, 3));
    }

    #[test]
    fn a_day_has_as_many_messages_and_as_much_speech_as_was_said() {
        let recordings = day(&arguments());
        assert_eq!(recordings.len(), 10_000);
        let mean = recordings.iter().map(|recording| recording.length).sum::<f64>() / 10_000.0;
        assert!((13.0..17.0).contains(&mean), "{mean}");
        let evening = |hours: std::ops::Range<f64>| {
            let within = |recording: &&Recording| hours.contains(&(recording.at / 3600.0));
            recordings.iter().filter(within).count()
        };
        assert!(evening(20.0..21.0) > 10 * evening(3.0..4.0));
        let busier = day(&Arguments { peak: 3.0, ..arguments() });
        assert!(busier.len() > 11_000, "{}", busier.len());
    }
}
