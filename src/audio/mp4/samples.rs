//! Finds the samples of a track: first by the tables of `moov`, then by the runs of each `moof`.

use std::iter;

use super::boxes::{boxes, boxes_at, child, descendant, number, rows, word};

/// A sample of an MP4 track: one packet for the decoder, never empty.
pub(in crate::audio) struct Sample<'a> {
    /// Start and duration, in units of the track's clock.
    pub time: u64,
    pub duration: u32,
    pub data: &'a [u8],
}

/// Why a track ends before its last sample.
pub(in crate::audio) enum Damage {
    /// The sample lies beyond the end of the file.
    EndsEarly,
    /// The samples' sizes add up to more than the file.
    Overlapping,
}

/// The samples of one track, in order.
pub(in crate::audio) struct Samples<'a> {
    file: &'a [u8],
    locations: Box<dyn Iterator<Item = SampleLocation> + 'a>,
    time: u64,
    /// Bytes that the remaining samples may have. Samples that do not overlap have at most as many
    /// as the file.
    bytes_left: u64,
}

#[derive(Clone, Copy)]
struct SampleLocation {
    offset: u64,
    size: u32,
    duration: u32,
}

impl<'a> Samples<'a> {
    pub(super) fn new(file: &'a [u8], moov: &'a [u8], trak: &'a [u8], track: u32) -> Self {
        let stbl = descendant(trak, &[b"mdia", b"minf", b"stbl"]).unwrap_or_default();
        let locations =
            Box::new(Tables::new(stbl).chain(fragments(file, track, Defaults::from_movie(moov, track))));
        Self { file, locations, time: 0, bytes_left: file.len() as u64 }
    }

    /// The next sample; `None` at the end and after an error.
    pub fn next(&mut self) -> Result<Option<Sample<'a>>, Damage> {
        for location in &mut self.locations {
            let time = self.time;
            self.time = time.saturating_add(location.duration.into());
            if location.size == 0 {
                continue;
            }
            return match self.read(location) {
                Ok(data) => Ok(Some(Sample { time, duration: location.duration, data })),
                Err(why) => {
                    self.locations = Box::new(iter::empty());
                    Err(why)
                }
            };
        }
        Ok(None)
    }

    fn read(&mut self, location: SampleLocation) -> Result<&'a [u8], Damage> {
        let start = usize::try_from(location.offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(location.size as usize);
        let data = self.file.get(start..end).ok_or(Damage::EndsEarly)?;
        self.bytes_left = self.bytes_left.checked_sub(location.size.into()).ok_or(Damage::Overlapping)?;
        Ok(data)
    }
}

/// The samples that the tables of a track list.
struct Tables<'a> {
    sizes: Box<dyn Iterator<Item = u32> + 'a>,
    durations: Box<dyn Iterator<Item = u32> + 'a>,
    /// Offset and number of samples of each chunk.
    chunks: Box<dyn Iterator<Item = (u64, u32)> + 'a>,
    /// Where the next sample of the chunk is, and how many samples the chunk still has.
    offset: u64,
    left: u32,
}

impl<'a> Tables<'a> {
    fn new(stbl: &'a [u8]) -> Self {
        let durations =
            table(stbl, b"stts", 8).flat_map(|row| iter::repeat_n(word(row, 4), word(row, 0) as usize));
        Self {
            sizes: sizes(child(stbl, b"stsz").unwrap_or_default()),
            durations: Box::new(durations),
            chunks: chunks(stbl),
            offset: 0,
            left: 0,
        }
    }
}

impl Iterator for Tables<'_> {
    type Item = SampleLocation;

    fn next(&mut self) -> Option<SampleLocation> {
        while self.left == 0 {
            (self.offset, self.left) = self.chunks.next()?;
        }
        let size = self.sizes.next()?;
        let location =
            SampleLocation { offset: self.offset, size, duration: self.durations.next().unwrap_or(0) };
        self.left -= 1;
        self.offset = self.offset.saturating_add(size.into());
        Some(location)
    }
}

fn table<'a>(stbl: &'a [u8], kind: &[u8; 4], width: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    rows(child(stbl, kind).unwrap_or_default(), width)
}

/// The sizes of the samples: one for all, or one for each.
fn sizes(stsz: &[u8]) -> Box<dyn Iterator<Item = u32> + '_> {
    let count = word(stsz, 8) as usize;
    match word(stsz, 4) {
        0 => {
            let sizes = stsz.get(12..).unwrap_or_default().chunks_exact(4);
            Box::new(sizes.take(count).map(|row| word(row, 0)))
        }
        size => Box::new(iter::repeat_n(size, count)),
    }
}

/// The offset and the number of samples of each chunk.
fn chunks(stbl: &[u8]) -> Box<dyn Iterator<Item = (u64, u32)> + '_> {
    let offsets: Box<dyn Iterator<Item = u64>> = match child(stbl, b"stco") {
        Some(stco) => Box::new(rows(stco, 4).map(|row| word(row, 0).into())),
        None => Box::new(table(stbl, b"co64", 8).map(|row| number(row, 0, 8).unwrap_or(0))),
    };
    // Rows are the first chunk of a group, counted from 1, and the samples in each chunk of it.
    let mut groups = table(stbl, b"stsc", 12).peekable();
    let mut samples = 0;
    Box::new((1..).zip(offsets).map(move |(chunk, offset)| {
        while let Some(group) = groups.next_if(|group| word(group, 0) <= chunk) {
            samples = word(group, 4);
        }
        (offset, samples)
    }))
}

/// Duration and size of samples that have none of their own.
#[derive(Clone, Copy, Default)]
struct Defaults {
    duration: u32,
    size: u32,
}

impl Defaults {
    fn from_movie(moov: &[u8], track: u32) -> Self {
        let mut extends = boxes(child(moov, b"mvex").unwrap_or_default()).filter(|(kind, _)| kind == b"trex");
        let trex = extends.find(|(_, trex)| word(trex, 4) == track);
        trex.map_or_else(Self::default, |(_, trex)| Self { duration: word(trex, 12), size: word(trex, 16) })
    }
}

/// The samples that the fragments of the file list.
fn fragments(file: &[u8], track: u32, defaults: Defaults) -> impl Iterator<Item = SampleLocation> + '_ {
    boxes_at(file).filter(|(_, kind, _)| kind == b"moof").flat_map(move |(start, _, moof)| {
        boxes(moof)
            .filter(|(kind, _)| kind == b"traf")
            .filter_map(move |(_, traf)| Fragment::open(traf, track, start, defaults))
            .flatten()
    })
}

/// The part of a fragment that belongs to the track, run by run.
struct Fragment<'a> {
    runs: Box<dyn Iterator<Item = &'a [u8]> + 'a>,
    run: Box<dyn Iterator<Item = (u32, u32)> + 'a>,
    base: u64,
    /// Where the next sample is.
    offset: u64,
    defaults: Defaults,
}

impl<'a> Fragment<'a> {
    /// `None` where it belongs to another track.
    fn open(traf: &'a [u8], track: u32, start: u64, defaults: Defaults) -> Option<Self> {
        let tfhd = child(traf, b"tfhd").filter(|tfhd| word(tfhd, 4) == track)?;
        let flags = word(tfhd, 0);
        // Optional fields in this order, each with its flag and its width.
        let mut at = 8;
        let mut field = |flag, width| {
            let value = if flags & flag == 0 { None } else { number(tfhd, at, width) };
            at += if flags & flag == 0 { 0 } else { width };
            value
        };
        let base = field(1, 8).unwrap_or(start);
        field(2, 4);
        let duration = field(8, 4).map_or(defaults.duration, |value| value as u32);
        let size = field(0x10, 4).map_or(defaults.size, |value| value as u32);
        let runs = boxes(traf).filter(|(kind, _)| kind == b"trun").map(|(_, trun)| trun);
        Some(Self {
            runs: Box::new(runs),
            run: Box::new(iter::empty()),
            base,
            offset: base,
            defaults: Defaults { duration, size },
        })
    }

    /// Begins a run.
    fn begin_run(&mut self, trun: &'a [u8]) {
        const OFFSET: u32 = 1;
        const FIRST_FLAGS: u32 = 4;
        const DURATION: u32 = 0x100;
        const SIZE: u32 = 0x200;
        const FIELDS: u32 = 0xf00;
        let flags = word(trun, 0);
        let count = word(trun, 4) as usize;
        let mut at = 8;
        if flags & OFFSET != 0 {
            let offset = word(trun, at) as i32;
            self.offset = self.base.saturating_add_signed(offset.into());
            at += 4;
        }
        if flags & FIRST_FLAGS != 0 {
            at += 4;
        }
        let Defaults { duration, size } = self.defaults;
        let has = move |flag| flags & flag != 0;
        let width = 4 * (flags & FIELDS).count_ones() as usize;
        self.run = if width > 0 {
            let rows = trun.get(at..).unwrap_or_default().chunks_exact(width).take(count);
            Box::new(rows.map(move |row| {
                let duration = if has(DURATION) { word(row, 0) } else { duration };
                let size = if has(SIZE) { word(row, if has(DURATION) { 4 } else { 0 }) } else { size };
                (duration, size)
            }))
        } else if size > 0 {
            // All samples have the same size. Whatever number is claimed, the first sample beyond
            // the end of the file ends the track.
            Box::new(iter::repeat_n((duration, size), count))
        } else {
            Box::new(iter::empty())
        };
    }
}

impl Iterator for Fragment<'_> {
    type Item = SampleLocation;

    fn next(&mut self) -> Option<SampleLocation> {
        loop {
            if let Some((duration, size)) = self.run.next() {
                let location = SampleLocation { offset: self.offset, size, duration };
                self.offset = self.offset.saturating_add(size.into());
                return Some(location);
            }
            let trun = self.runs.next()?;
            self.begin_run(trun);
        }
    }
}
