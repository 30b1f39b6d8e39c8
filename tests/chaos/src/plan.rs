//! What happens to the daemon, life by life: drawn from the seed before anything starts.

use std::time::Duration;

use fake_telegram::{Action, Fault};

use crate::Options;
use crate::crash_points::{POINTS, PREVIEW_POINTS};
use crate::random::Random;
use crate::recordings::Kind;

pub struct Plan {
    pub lives: Vec<Life>,
    /// Telegram's, each at the send or read that was drawn for it, whichever life that falls in.
    pub faults: Vec<Fault>,
    /// Sent to the last daemon, which nobody kills.
    pub tail: Vec<Message>,
    /// How many messages are for the real model.
    pub spoken: usize,
}

/// From a start of the daemon to its end.
#[derive(Default)]
pub struct Life {
    pub end: End,
    pub messages: Vec<Message>,
    /// Those of this life's start.
    pub faults: Vec<Fault>,
    pub links: Vec<LinkEvent>,
    /// Redis is killed after the first time, for the second.
    pub redis: Option<(Duration, Duration)>,
}

#[derive(Clone, Copy)]
pub enum End {
    /// After so many answers and a little more, or when the time is over.
    Kill {
        answers: u32,
        late: Duration,
        within: Duration,
    },
    Crash {
        point: &'static str,
        pass: u32,
    },
    /// One of the kills of a burst: after that time, whatever the daemon does.
    Burst(Duration),
    /// Nobody kills it before the queue is empty, or for a long time.
    Calm,
}

const EDIT: &str = "messages.editMessage";

/// A burst is so many kills, from the first to the last of them within 25 s.
pub const KILLS_IN_A_BURST: usize = 20;
/// Messages for the real model in a burst, at most.
const SPOKEN_IN_A_BURST: usize = 120;
/// Seconds that the lives of a burst last together; some is left for starting each.
const BURST: f64 = 23.0;

impl End {
    /// A kill at that time.
    pub fn kill_within(within: Duration) -> Self {
        Self::Kill { answers: u32::MAX, late: Duration::ZERO, within }
    }
}

impl Default for End {
    fn default() -> Self {
        Self::kill_within(Duration::from_secs(1))
    }
}

pub struct Message {
    /// After the start of its life; none: before, while no daemon runs.
    pub at: Option<Duration>,
    /// The number of the chat.
    pub chat: usize,
    pub kind: Kind,
    pub news: News,
    /// A file that the rules leave alone, and the owner asks for.
    pub asked: bool,
    /// It is the owner's, from another device.
    pub own: bool,
    /// Once it is answered, the owner has another recording in its place recognised again.
    pub again: bool,
}

/// The chats of what is asked for, after the others: there it does not overtake anything.
pub const CHATS_OF_COMMANDS: usize = 4;

/// How the daemon is told of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum News {
    Once,
    /// Again, after this time.
    Twice(Duration),
    /// Not at all: the update got lost.
    Never,
}

#[derive(Clone, Copy)]
pub struct LinkEvent {
    pub at: Duration,
    pub what: Trouble,
    /// The daemon is left alive until it is connected again, and it is noted how long that took.
    pub measured: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Every connection is cut, and none admitted for so long.
    Cut(Duration),
    /// Nothing gets through for so long.
    Stall(Duration),
    /// The connections there are lead nowhere, without a word.
    HalfOpen,
    /// Everything comes later by the first time, for the second.
    Slow(Duration, Duration),
}

impl Plan {
    pub fn draw(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        let mut lives: Vec<Life> = (0..options.kills).map(|_| Life::default()).collect();
        // A daemon that nobody kills can be troubled all the same.
        if lives.is_empty() {
            lives.push(Life { end: End::kill_within(Duration::from_secs(3)), ..Life::default() });
        }
        ends(&mut lives, options, &mut random);
        links(&mut lives, options, &mut random);
        let faults = faults(&mut lives, options, &mut random);
        if options.redis_queue() {
            // Where the connection is measured, it alone is troubled.
            let unmeasured = lives.iter_mut().filter(|life| !life.links.iter().any(|event| event.measured));
            for life in some(unmeasured, options.redis_kills, &mut random.clone()) {
                life.redis = Some((random.seconds(0.0, 1.5), random.seconds(0.1, 1.5)));
            }
        }
        let mut lives = with_bursts(lives, options, &mut random);
        let tail = messages(&mut lives, options, &mut random);
        let all = lives.iter().flat_map(|life| &life.messages).chain(&tail);
        let spoken = all.filter(|message| matches!(message.kind, Kind::Speech(_))).count();
        Self { lives, faults, tail, spoken }
    }
}

/// `count` lives, no two of them alike unless there are too few.
fn some<'a>(
    lives: impl Iterator<Item = &'a mut Life>,
    count: usize,
    random: &mut Random,
) -> Vec<&'a mut Life> {
    let mut chosen: Vec<&mut Life> = lives.collect();
    random.shuffle(&mut chosen);
    chosen.truncate(count);
    chosen
}

fn any<'a>(lives: &'a mut [Life], random: &mut Random) -> &'a mut Life {
    let at = random.below(lives.len());
    &mut lives[at]
}

/// Half of the lives end at a crash point, every point as often as the others.
fn ends(lives: &mut [Life], options: &Options, random: &mut Random) {
    let previews = if options.rules { &PREVIEW_POINTS[..] } else { &[] };
    let points: Vec<&str> = POINTS.iter().chain(previews).copied().collect();
    let mut order: Vec<usize> = (0..lives.len()).collect();
    random.shuffle(&mut order);
    let crashes = lives.len() / 2;
    for (n, at) in order.into_iter().enumerate() {
        lives[at].end = if n < crashes {
            let point = points[n % points.len()];
            let most = match point {
                point if point.contains("C1") => 8,
                // Few messages have one.
                point if point.contains("preview") => 1,
                _ => 15,
            };
            End::Crash { point, pass: 1 + random.below(most) as u32 }
        } else if n % 5 == 0 {
            // Hardly started.
            End::kill_within(random.seconds(0.0, 0.4))
        } else {
            let answers = 5 + random.below(55) as u32;
            End::Kill { answers, late: random.seconds(0.0, 0.04), within: random.seconds(0.8, 2.5) }
        };
    }
}

/// The lives with bursts among them, the last one at their end. After each of the others is a calm.
fn with_bursts(lives: Vec<Life>, options: &Options, random: &mut Random) -> Vec<Life> {
    let (count, bursts) = (lives.len(), options.bursts);
    let mut all = Vec::new();
    let mut done = 0;
    for (n, life) in lives.into_iter().enumerate() {
        all.push(life);
        if (n + 1) * bursts / count > done {
            done += 1;
            all.extend(burst(random));
            if done < bursts {
                all.push(Life { end: End::Calm, ..Life::default() });
            }
        }
    }
    all
}

fn burst(random: &mut Random) -> impl Iterator<Item = Life> {
    // Some hardly start, some get through a few jobs.
    let shares: Vec<f64> = (0..KILLS_IN_A_BURST).map(|_| random.seconds(0.3, 2.0).as_secs_f64()).collect();
    let sum: f64 = shares.iter().sum();
    let end = move |share: f64| End::Burst(Duration::from_secs_f64(share / sum * BURST));
    shares.into_iter().map(move |share| Life { end: end(share), ..Life::default() })
}

/// All messages of a burst come before its first life, and most are for the real model, so that
/// each kill meets recognitions: the stand-in takes no time.
fn keep_busy(burst: &mut [Life], random: &mut Random) {
    let mut messages: Vec<Message> =
        burst.iter_mut().flat_map(|life| std::mem::take(&mut life.messages)).collect();
    messages.iter_mut().for_each(|message| message.at = None);
    let tones = messages.iter_mut().filter(|message| matches!(message.kind, Kind::Tone(_)));
    for message in tones.take(SPOKEN_IN_A_BURST) {
        message.kind = Kind::Speech(random.next() as usize);
    }
    burst[0].messages = messages;
}

fn links(lives: &mut [Life], options: &Options, random: &mut Random) {
    let event =
        |random: &mut Random, what, measured| LinkEvent { at: random.seconds(0.3, 1.5), what, measured };
    for n in 0..options.cuts {
        let measured = n % 4 == 0;
        // One in ten lasts as long as can be; a measured one is over before the first new try.
        let most = if n % 10 == 9 { options.longest_cut } else { options.longest_cut / 4.0 };
        let most = if measured { 4.0_f64.min(most) } else { most };
        let time = random.seconds_log(0.1, most.max(0.2));
        let what = if n % 4 == 3 { Trouble::Stall(time) } else { Trouble::Cut(time) };
        let event = event(random, what, measured);
        any(lives, random).links.push(event);
    }
    for _ in 0..options.half_open {
        let event = event(random, Trouble::HalfOpen, true);
        any(lives, random).links.push(event);
    }
    for _ in 0..options.cuts / 8 {
        let what = Trouble::Slow(random.seconds_log(0.02, 0.3), random.seconds(0.5, 2.0));
        let event = event(random, what, false);
        any(lives, random).links.push(event);
    }
}

fn faults(lives: &mut [Life], options: &Options, random: &mut Random) -> Vec<Fault> {
    let mut faults = Vec::new();
    for n in 0..options.floods {
        // After sends, mostly; reading has limits too.
        let method = match n % 10 {
            5 | 6 if options.rules => EDIT,
            8 => "upload.getFile",
            9 => "messages.getMessages",
            _ => "messages.sendMessage",
        };
        let action = Action::flood_wait([1, 1, 1, 1, 1, 1, 1, 2, 2, 3][random.below(10)]);
        faults.push(Fault::on(method, action));
    }
    for n in 0..options.timeouts {
        let method = ["messages.sendMessage", "upload.getFile", "messages.getMessages"][n % 3];
        faults.push(Fault::on(method, Action::error(-503, "Timeout")));
    }
    for _ in 0..options.premium_waits {
        faults.push(Fault::on("upload.getFile", Action::error(420, "FLOOD_PREMIUM_WAIT_1")));
    }
    for n in 0..options.lost_answers {
        // Either the connection goes with the answer, or the daemon waits for it in vain.
        let action = if n % 8 == 7 { Action::LoseAnswer } else { Action::DropAfter };
        let method = if options.rules && n % 3 == 2 { EDIT } else { "messages.sendMessage" };
        faults.push(Fault::on(method, action));
    }
    if options.rules {
        // Some messages cannot be edited any more.
        let too_late = || Fault::on(EDIT, Action::error(400, "MESSAGE_EDIT_TIME_EXPIRED"));
        faults.extend((0..options.slow / 15).map(|_| too_late()));
    }
    // Sends while faults are held back do not count, and all are to strike.
    let reach = |fault: &Fault| options.messages / if fault.method == EDIT { 8 } else { 2 };
    let mut faults: Vec<Fault> = faults
        .into_iter()
        .map(|fault| {
            let after = random.below(reach(&fault)) as u32;
            fault.after(after).once()
        })
        .collect();
    // The first that fits a request wins, so that what comes first must not hide behind the others.
    faults.sort_by_key(|fault| fault.after);
    for _ in 0..options.too_long {
        let fault = Fault::on("updates.getDifference", Action::TooLong).once();
        any(lives, random).faults.push(fault);
    }
    faults
}

/// Hands the messages out to the lives; gives those that come after all of them.
fn messages(lives: &mut [Life], options: &Options, random: &mut Random) -> Vec<Message> {
    let mut kinds = vec![None; options.messages];
    let mut place = 0;
    let mut take = |count: usize, kind: &mut dyn FnMut(usize) -> Kind| {
        for n in 0..count.min(options.messages - place) {
            kinds[place] = Some(kind(n));
            place += 1;
        }
    };
    take(options.corrupt, &mut |_| Kind::Corrupt(random.next()));
    take(options.spoken, &mut Kind::Speech);
    take(options.slow, &mut |_| Kind::Slow(random.next()));
    take(options.messages, &mut |_| Kind::Tone(random.next()));
    random.shuffle(&mut kinds);

    let mut news = vec![News::Once; options.messages];
    for n in 0..options.duplicated {
        if let Some(news) = news.get_mut(n) {
            *news = News::Twice(random.seconds(0.0, 1.0));
        }
    }
    for n in 0..options.dropped {
        if let Some(news) = news.get_mut(options.duplicated + n) {
            *news = News::Never;
        }
    }
    random.shuffle(&mut news);

    let mut all: Vec<Message> = kinds
        .into_iter()
        .flatten()
        .zip(news)
        .map(|(kind, news)| {
            let at = (random.below(4) > 0).then(|| random.seconds(0.0, 1.2));
            Message {
                at,
                chat: random.below(options.chats),
                kind,
                news,
                asked: false,
                own: false,
                again: false,
            }
        })
        .collect();
    // The owner is told of a corrupt one, which counts as an answer nobody called for.
    let askable = all.iter_mut().filter(|message| !matches!(message.kind, Kind::Corrupt(_)));
    for message in askable.take(options.commands) {
        message.asked = true;
        message.chat = options.chats + random.below(CHATS_OF_COMMANDS);
    }
    let mut others: Vec<&mut Message> =
        all.iter_mut().filter(|it| !it.asked && !matches!(it.kind, Kind::Corrupt(_))).collect();
    random.shuffle(&mut others);
    others.iter_mut().take(options.own).for_each(|message| message.own = true);
    random.shuffle(&mut others);
    others.iter_mut().take(options.again).for_each(|message| message.again = true);
    random.shuffle(&mut all);
    // A twentieth comes after the last kill, told of in the ordinary way: it uncovers what was dropped.
    let mut tail = all.split_off(options.messages - options.messages / 20);
    for message in &mut tail {
        message.at = Some(random.seconds(0.0, 3.0));
    }
    let (count, lives_count) = (all.len(), lives.len());
    for (n, message) in all.into_iter().enumerate() {
        lives[n * lives_count / count].messages.push(message);
    }
    for burst in
        lives.chunk_by_mut(|one, next| matches!((&one.end, &next.end), (End::Burst(_), End::Burst(_))))
    {
        if matches!(burst[0].end, End::Burst(_)) {
            keep_busy(burst, random);
        }
    }
    for life in lives {
        life.messages.sort_by_key(|message| message.at);
    }
    tail.sort_by_key(|message| message.at);
    if let Some(last) = tail.last_mut() {
        last.news = News::Once;
    }
    tail
}
