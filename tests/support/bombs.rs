//! Small files that would cost a decoder that believes them hours, or gigabytes. Each is made anew
//! from a few lines: a bomb that names the thing which it claims too much of.

/// A second of 16-bit sound at 16 kHz.
fn sound() -> Vec<u8> {
    (0..16_000u32).flat_map(|n| ((n * 7919 % 2001) as i16 - 1000).to_le_bytes()).collect()
}

/// Every bomb, by name.
pub fn bombs() -> Vec<(String, Vec<u8>)> {
    let all =
        [("mp4", mp4()), ("matroska", matroska()), ("ogg", ogg()), ("flac", flac()), ("other", other())];
    let named = |(kind, bombs): (&str, Vec<(&str, Vec<u8>)>)| {
        bombs.into_iter().map(move |(name, bytes)| (format!("{kind}: {name}"), bytes)).collect::<Vec<_>>()
    };
    all.into_iter().flat_map(named).collect()
}

/// A box that claims so much more than it has.
fn oversized(kind: &[u8; 4], content: &[u8], size: u32) -> Vec<u8> {
    [&size.to_be_bytes(), kind.as_slice(), content].concat()
}

pub fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    oversized(kind, content, content.len() as u32 + 8)
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The tables of a track: durations, chunks, sizes, offsets.
pub struct Tables {
    pub stts: Vec<u8>,
    pub stsc: Vec<u8>,
    pub stsz: Vec<u8>,
    pub stco: Vec<u8>,
}

impl Tables {
    /// One chunk of `count` samples of two bytes, right behind an `ftyp` and the header of an
    /// `mdat`.
    pub fn plain(count: u32) -> Self {
        Self {
            stts: words(&[0, 1, count, 1]),
            stsc: words(&[0, 1, 1, count, 1]),
            stsz: words(&[0, 2, count]),
            stco: words(&[0, 1, DATA]),
        }
    }

    pub fn none() -> Self {
        Self { stts: words(&[0, 0]), stsc: words(&[0, 0]), stsz: words(&[0, 0, 0]), stco: words(&[0, 0]) }
    }
}

/// Where the data are: `ftyp` has 16 bytes, the header of `mdat` 8.
pub const DATA: u32 = 24;

/// A track of PCM as QuickTime has it, with `more` boxes in it.
pub fn track(id: u32, tables: &Tables, more: &[u8]) -> Vec<u8> {
    described(id, &boxed(b"sowt", &sample_entry(0)), tables, more)
}

/// 16 bits at 16 kHz, in the form of this version.
fn sample_entry(version: u8) -> Vec<u8> {
    let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 16, 0, 0, 0, 0];
    entry[9] = version;
    entry.extend((16_000u32 << 16).to_be_bytes());
    entry
}

/// PCM with so many frames in each packet.
fn packed_entry(frames: u32) -> Vec<u8> {
    const SIGNED: u32 = 4;
    let format = words(&[1, 0x7f00_0000, 16, SIGNED, 2, frames]);
    boxed(b"lpcm", &[sample_entry(2), words(&[72]), 16_000f64.to_be_bytes().to_vec(), format].concat())
}

fn described(id: u32, entry: &[u8], tables: &Tables, more: &[u8]) -> Vec<u8> {
    let stsd = [words(&[0, 1]), entry.to_vec()].concat();
    let Tables { stts, stsc, stsz, stco } = tables;
    let tables = [(b"stsd", &stsd), (b"stts", stts), (b"stsc", stsc), (b"stsz", stsz), (b"stco", stco)];
    let stbl: Vec<u8> = tables.iter().flat_map(|(kind, table)| boxed(kind, table)).collect();
    let mut tkhd = vec![0; 84];
    tkhd[12..16].copy_from_slice(&id.to_be_bytes());
    let mdhd = [words(&[0, 0, 0, 16_000, 16_000]), vec![0; 4]].concat();
    let hdlr = [vec![0; 8], b"soun".to_vec(), vec![0; 13]].concat();
    let minf = boxed(b"minf", &boxed(b"stbl", &stbl));
    let mdia = [boxed(b"mdhd", &mdhd), boxed(b"hdlr", &hdlr), minf].concat();
    boxed(b"trak", &[boxed(b"tkhd", &tkhd), boxed(b"mdia", &mdia), more.to_vec()].concat())
}

/// A file of a second of sound, of these boxes in `moov`, and of `more` behind it.
pub fn movie(content: &[u8], more: &[u8]) -> Vec<u8> {
    let mut mvhd = vec![0; 100];
    mvhd[12..16].copy_from_slice(&1000u32.to_be_bytes());
    let moov = boxed(b"moov", &[boxed(b"mvhd", &mvhd), content.to_vec()].concat());
    [boxed(b"ftyp", b"isom\0\0\0\0"), boxed(b"mdat", &sound()), moov, more.to_vec()].concat()
}

/// What makes a movie one of fragments: the defaults of its tracks.
pub fn extends(ids: impl Iterator<Item = u32>, duration: u32, size: u32) -> Vec<u8> {
    let trex = |id| boxed(b"trex", &words(&[0, id, 1, duration, size, 0]));
    boxed(b"mvex", &ids.flat_map(trex).collect::<Vec<u8>>())
}

/// A fragment of a track: its runs.
pub fn fragment(id: u32, truns: &[u8]) -> Vec<u8> {
    let traf = boxed(b"traf", &[boxed(b"tfhd", &words(&[0, id])), truns.to_vec()].concat());
    boxed(b"moof", &[boxed(b"mfhd", &words(&[0, 1])), traf].concat())
}

fn mp4() -> Vec<(&'static str, Vec<u8>)> {
    const HUGE: u32 = u32::MAX;
    let one = |tables: &Tables| movie(&track(1, tables, &[]), &[]);
    let fragmented = |duration, size, more: Vec<u8>| {
        movie(&[track(1, &Tables::none(), &[]), extends(1..2, duration, size)].concat(), &more)
    };
    let run = |flags, fields: &[u32]| boxed(b"trun", &words(&[&[flags], fields].concat()));
    let plain = || Tables::plain(16_000);
    let many = |count: u32, row: &[u32]| [words(&[0, count]), words(row).repeat(count as usize)].concat();
    let nested = |kind: &[u8; 4]| (0..3000).fold(Vec::new(), |inner, _| boxed(kind, &inner));
    let tag = [boxed(b"mean", b"\0\0\0\0x"), boxed(b"name", b"\0\0\0\0y"), boxed(b"data", &[0; 9])].concat();
    let tags = |meta: &[u8]| [words(&[0]), boxed(b"ilst", meta)].concat();
    vec![
        ("a run of 2^32 samples", fragmented(0, 0, fragment(1, &run(0, &[HUGE])))),
        ("a thousand runs of 2^32 samples", fragmented(0, 0, fragment(1, &run(0, &[HUGE]).repeat(1000)))),
        ("a run of 2^32 samples of a byte", fragmented(1, 1, fragment(1, &run(1, &[HUGE, 0])))),
        ("runs over the same bytes", fragmented(1, 16_000, fragment(1, &run(1, &[2, 0]).repeat(50_000)))),
        ("a run of 2^32 rows", fragmented(0, 0, fragment(1, &run(0xf00, &[HUGE, 1, 1, 1, 1])))),
        ("a long run", {
            let rows = [&[0x301, 120_000, 0], [1, 1].repeat(120_000).as_slice()].concat();
            fragmented(0, 0, fragment(1, &boxed(b"trun", &words(&rows))))
        }),
        (
            "empty fragments",
            fragmented(0, 0, boxed(b"moof", &boxed(b"mfhd", &words(&[0, 1]))).repeat(80_000)),
        ),
        ("empty fragments of 32 tracks", {
            let tracks: Vec<u8> = (1..33).flat_map(|id| track(id, &Tables::none(), &[])).collect();
            let pair = [boxed(b"moof", &boxed(b"mfhd", &words(&[0, 1]))), boxed(b"mdat", &[])].concat();
            movie(&[tracks, extends(1..33, 0, 0)].concat(), &pair.repeat(40_000))
        }),
        ("fragments of another track", {
            let content = [track(1, &Tables::none(), &[]), extends(1..2, 1, 2)].concat();
            movie(&content, &fragment(2, &run(0, &[HUGE])).repeat(10_000))
        }),
        ("pairs of fragments and data", {
            fragmented(1, 2, [fragment(1, &run(0, &[1])), boxed(b"mdat", &[1, 2])].concat().repeat(20_000))
        }),
        (
            "2^32 samples of one size",
            one(&Tables {
                stsz: words(&[0, 1, HUGE]),
                stsc: words(&[0, 1, 1, HUGE, 1]),
                stts: words(&[0, 1, HUGE, 0]),
                ..plain()
            }),
        ),
        ("a duration for each sample", one(&Tables { stts: many(60_000, &[1, 1]), ..plain() })),
        ("durations of no sample", one(&Tables { stts: many(100_000, &[0, 1]), ..plain() })),
        ("durations of 2^32 samples", one(&Tables { stts: many(50_000, &[HUGE, 0]), ..plain() })),
        (
            "chunks of no sample",
            one(&Tables { stsc: words(&[0, 1, 1, 0, 1]), stco: many(100_000, &[DATA]), ..plain() }),
        ),
        ("groups of chunks", one(&Tables { stsc: many(60_000, &[1, 1, 1]), ..plain() })),
        (
            "chunks over the same bytes",
            one(&Tables {
                stsz: words(&[0, 32_000, HUGE]),
                stsc: words(&[0, 1, 1, 1, 1]),
                stco: many(50_000, &[DATA]),
                ..plain()
            }),
        ),
        (
            "samples of no byte",
            one(&Tables { stsz: [words(&[0, 0, 100_000]), vec![0; 400_000]].concat(), ..plain() }),
        ),
        (
            "tables that claim rows",
            one(&Tables {
                stts: words(&[0, HUGE, 1, 1]),
                stsc: words(&[0, HUGE, 1, 1, 1]),
                stsz: words(&[0, 0, HUGE, 2]),
                stco: words(&[0, HUGE, DATA]),
            }),
        ),
        (
            "an edit list",
            movie(&track(1, &plain(), &boxed(b"edts", &boxed(b"elst", &many(60_000, &[0, HUGE, 1])))), &[]),
        ),
        (
            "an edit list that claims rows",
            movie(&track(1, &plain(), &boxed(b"edts", &boxed(b"elst", &words(&[0, HUGE])))), &[]),
        ),
        (
            "an index of segments",
            movie(&track(1, &plain(), &[]), &boxed(b"sidx", &words(&[0, 1, 1, 0, 0, 0xffff])).repeat(1000)),
        ),
        (
            "tracks",
            movie(&(1..4000).flat_map(|id| track(id, &Tables::none(), &[])).collect::<Vec<u8>>(), &[]),
        ),
        ("boxes in boxes", movie(&[track(1, &plain(), &[]), nested(b"udta")].concat(), &nested(b"moof"))),
        ("tracks in tracks", movie(&nested(b"trak"), &[])),
        ("tags", {
            let tags = boxed(b"meta", &tags(&boxed(b"----", &tag).repeat(10_000)));
            movie(&[track(1, &plain(), &[]), boxed(b"udta", &tags)].concat(), &tags)
        }),
        ("a tag that claims", {
            let cover = oversized(b"covr", &oversized(b"data", &[0; 8], HUGE), HUGE);
            movie(&[track(1, &plain(), &[]), boxed(b"udta", &boxed(b"meta", &tags(&cover)))].concat(), &[])
        }),
        ("a packet of 2^32 frames", movie(&described(1, &packed_entry(HUGE), &plain(), &[]), &[])),
        ("descriptions", {
            let mut file = one(&plain());
            let at = file.windows(4).position(|kind| kind == b"stsd").unwrap() + 8;
            file[at..at + 4].copy_from_slice(&HUGE.to_be_bytes());
            file
        }),
        ("brands", [boxed(b"ftyp", &b"isom".repeat(300_000)), one(&plain())[16..].to_vec()].concat()),
    ]
}

/// An EBML element.
pub fn element(id: u32, content: &[u8]) -> Vec<u8> {
    sized(id, content.len() as u64, content)
}

/// One that claims this size.
fn sized(id: u32, size: u64, content: &[u8]) -> Vec<u8> {
    let id = id.to_be_bytes();
    let id = &id[id.iter().position(|&byte| byte != 0).unwrap_or(3)..];
    [id, &(size | 1 << 56).to_be_bytes(), content].concat()
}

const UNKNOWN: u64 = (1 << 56) - 1;

/// A WebM file of a track of PCM: these parts before its cluster, and these blocks in it.
pub fn webm(parts: &[u8], blocks: &[u8]) -> Vec<u8> {
    let entry = pcm_entry(1);
    segment(&[info(), element(0x1654_AE6B, &entry), parts.to_vec(), cluster(blocks)].concat())
}

fn segment(content: &[u8]) -> Vec<u8> {
    let ebml = element(0x1A45_DFA3, &element(0x4282, b"matroska"));
    [ebml, element(0x1853_8067, content)].concat()
}

fn info() -> Vec<u8> {
    let scale = element(0x2A_D7B1, &1_000_000u32.to_be_bytes());
    element(0x1549_A966, &[scale, element(0x4D80, b"x"), element(0x5741, b"x")].concat())
}

fn cluster(blocks: &[u8]) -> Vec<u8> {
    element(0x1F43_B675, &[element(0xE7, &[0]), blocks.to_vec()].concat())
}

fn pcm_entry(number: u8) -> Vec<u8> {
    let audio =
        [element(0xB5, &16_000f32.to_be_bytes()), element(0x9F, &[1]), element(0x6264, &[16])].concat();
    let fields = [
        element(0xD7, &[number]),
        element(0x73C5, &[number]),
        element(0x83, &[2]),
        element(0x86, b"A_PCM/INT/LIT"),
        element(0xE1, &audio),
    ];
    element(0xAE, &fields.concat())
}

/// A block of the first track without lacing.
pub fn block(data: &[u8]) -> Vec<u8> {
    element(0xA3, &[&[0x81, 0, 0, 0x80], data].concat())
}

fn matroska() -> Vec<(&'static str, Vec<u8>)> {
    let plain = block(&sound());
    let tag = element(0x67C8, &[element(0x45A3, b"T"), element(0x4487, b"x")].concat());
    let tags = |content: &[u8]| {
        element(0x1254_C367, &element(0x7373, &[element(0x63C0, &[]), content.to_vec()].concat()))
    };
    let nested = |id| (0..3000).fold(tag.clone(), |inner, _| element(id, &inner));
    let cue = element(
        0xBB,
        &[element(0xB3, &[1]), element(0xB7, &[element(0xF7, &[1]), element(0xF1, &[1])].concat())].concat(),
    );
    let seek =
        element(0x4DBB, &[element(0x53AB, &[0x12, 0x54, 0xC3, 0x67]), element(0x53AC, &[0, 255])].concat());
    let laced = element(0xA3, &[0x81, 0, 0, 0x82, 0xff].into_iter().chain([0; 255]).collect::<Vec<u8>>());
    let fixed = element(0xA3, &[0x81, 0, 0, 0x84, 0xff]);
    vec![
        (
            "tracks",
            segment(&[info(), element(0x1654_AE6B, &pcm_entry(1).repeat(8000)), cluster(&plain)].concat()),
        ),
        ("tags", webm(&tags(&tag.repeat(30_000)), &plain)),
        ("tags in tags", webm(&tags(&nested(0x67C8)), &plain)),
        ("elements in elements", webm(&nested(0xA0), &plain)),
        ("cues", webm(&element(0x1C53_BB6B, &cue.repeat(20_000)), &plain)),
        ("an index that names tags", {
            let parts = [element(0x114D_9B74, &seek.repeat(5000)), tags(&tag.repeat(2000))].concat();
            webm(&parts, &plain)
        }),
        (
            "attachments",
            webm(&element(0x1941_A469, &element(0x61A7, &element(0x466E, b"x")).repeat(30_000)), &plain),
        ),
        (
            "chapters",
            webm(
                &element(0x1043_A770, &element(0x45B9, &element(0xB6, &element(0x91, &[0])).repeat(20_000))),
                &plain,
            ),
        ),
        ("laced frames of no byte", webm(&[], &laced.repeat(2000))),
        ("laced frames of one size", webm(&[], &fixed.repeat(40_000))),
        ("an element of 2^56 bytes", webm(&[], &sized(0xA3, UNKNOWN - 1, &[0x81, 0, 0, 0x80]))),
        ("clusters without end", {
            let cluster = sized(0x1F43_B675, UNKNOWN, &[element(0xE7, &[0]), block(&[1, 2])].concat());
            segment(&[info(), element(0x1654_AE6B, &pcm_entry(1)), cluster.repeat(20_000)].concat())
        }),
        ("clusters in pieces", {
            let cluster = [cluster(&block(&[1, 2])), element(0xEC, &[])].concat();
            segment(&[info(), element(0x1654_AE6B, &pcm_entry(1)), cluster.repeat(20_000)].concat())
        }),
        (
            "parts without end",
            webm(&sized(0x1254_C367, UNKNOWN, &sized(0x7373, UNKNOWN, &[])).repeat(10_000), &plain),
        ),
        ("voids", webm(&element(0xEC, &[]).repeat(60_000), &plain)),
    ]
}

/// An Ogg page of these packets, whose sizes have to fit into it.
pub fn ogg_page(flags: u8, stream: u32, number: u32, granule: u64, packets: &[&[u8]]) -> Vec<u8> {
    let mut table = Vec::new();
    for packet in packets {
        table.extend(std::iter::repeat_n(255, packet.len() / 255));
        table.push((packet.len() % 255) as u8);
    }
    raw_page(flags, stream, number, granule, &table, &packets.concat())
}

fn raw_page(flags: u8, stream: u32, number: u32, granule: u64, table: &[u8], data: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(granule.to_le_bytes());
    page.extend(stream.to_le_bytes());
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    page.push(u8::try_from(table.len()).expect("a page has 255 segments at most"));
    page.extend(table);
    page.extend(data);
    mend_ogg_page(&mut page);
    page
}

/// Sets the checksum of an Ogg page right.
pub fn mend_ogg_page(page: &mut [u8]) {
    page[22..26].fill(0);
    let checksum = page.iter().fold(0u32, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| {
            if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
        })
    });
    page[22..26].copy_from_slice(&checksum.to_le_bytes());
}

/// One packet over as many pages as it needs.
fn long_packet(stream: u32, packet: &[u8]) -> Vec<u8> {
    let pages = packet.chunks(255 * 255).enumerate();
    pages
        .flat_map(|(number, part)| {
            let last = (number + 1) * 255 * 255 > packet.len();
            let mut table = vec![255; part.len() / 255];
            if last {
                table.push((part.len() % 255) as u8);
            }
            raw_page(
                u8::from(number > 0),
                stream,
                number as u32 + 1,
                if last { 0 } else { u64::MAX },
                &table,
                part,
            )
        })
        .collect()
}

pub const OPUS_HEAD: &[u8] = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
pub const OPUS_TAGS: &[u8] = b"OpusTags\x01\0\0\0x\0\0\0\0";

/// A voice message of 0.1 s, for a chain.
fn link(stream: u32) -> Vec<u8> {
    let packets = [b"\xfb\x01".as_slice(); 5];
    [
        ogg_page(2, stream, 0, 0, &[OPUS_HEAD]),
        ogg_page(0, stream, 1, 0, &[OPUS_TAGS]),
        ogg_page(4, stream, 2, 4800, &packets),
    ]
    .concat()
}

fn ogg() -> Vec<(&'static str, Vec<u8>)> {
    let head = ogg_page(2, 7, 0, 0, &[OPUS_HEAD]);
    let comments = |count: u32, comment: &[u8], times: usize| {
        let mut tags = b"OpusTags\x01\0\0\0x".to_vec();
        tags.extend(count.to_le_bytes());
        tags.extend(comment.repeat(times));
        [head.clone(), long_packet(7, &tags)].concat()
    };
    let silence = |packets: &[&[u8]], pages: u32| -> Vec<u8> {
        let start = [head.clone(), ogg_page(0, 7, 1, 0, &[OPUS_TAGS])].concat();
        let pages = (0..pages).flat_map(|page| ogg_page(0, 7, page + 2, 1 << 40, packets));
        start.into_iter().chain(pages).collect()
    };
    vec![
        ("comments", comments(150_000, b"\x03\0\0\0a=b", 150_000)),
        ("comments without a byte", comments(200_000, &[0; 4], 200_000)),
        ("comments that are claimed", comments(u32::MAX, b"\xff\xff\xff\x7f", 1)),
        ("chapters", comments(50_000, b"\x17\0\0\0CHAPTER001=00:00:00.000", 50_000)),
        ("streams", (0..20_000).flat_map(|n| ogg_page(2, n, 0, 0, &[OPUS_HEAD])).collect()),
        ("a chain", (0..250).flat_map(link).collect()),
        ("a chain with garbage behind", {
            let garbage = b"OggS\0\0".repeat(300_000);
            (0..250).flat_map(link).chain(garbage).chain(link(999)).collect()
        }),
        ("packets of no byte", silence(&[b"".as_slice(); 255], 2000)),
        ("packets of one byte", silence(&[b"\x00".as_slice(); 255], 60)),
        ("pages in pieces", [link(7), [ogg_page(0, 7, 3, 0, &[]), vec![0]].concat().repeat(40_000)].concat()),
        ("pages of nothing", silence(&[], 20_000)),
        ("pages with a wrong checksum", {
            let mut page = ogg_page(0, 7, 2, 0, &[&[0xaa; 200]]);
            page[22] ^= 1;
            [link(7), page.repeat(8000)].concat()
        }),
    ]
}

fn flac() -> Vec<(&'static str, Vec<u8>)> {
    let info = {
        // Blocks of 4096, 16 kHz, one channel, 16 bits.
        let mut info = vec![0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0];
        info.extend([0x03, 0xe8, 0x00, 0xf0]);
        info.extend([0; 20]);
        info
    };
    let metadata = |kind: u8, content: &[u8]| {
        let size = (content.len() as u32).to_be_bytes();
        [&[kind, size[1], size[2], size[3]], content].concat()
    };
    let file = |blocks: Vec<u8>| [b"fLaC".to_vec(), metadata(0, &info), blocks, metadata(0x81, &[])].concat();
    let comments =
        [b"\x01\0\0\0x".to_vec(), 200_000u32.to_le_bytes().to_vec(), b"\x03\0\0\0a=b".repeat(200_000)]
            .concat();
    let picture = [words(&[3, 0, 0, 1, 1, 1, 0, 0]), vec![]].concat();
    vec![
        ("comments", file(metadata(4, &comments))),
        ("seek points", file(metadata(3, &[0; 18].repeat(60_000)))),
        ("pictures", file(metadata(6, &picture).repeat(20_000))),
        (
            "cue sheets",
            file(metadata(5, &[&[0; 395], [99].as_slice(), &[0; 36].repeat(99)].concat()).repeat(200)),
        ),
        ("applications", file(metadata(2, b"abcd").repeat(60_000))),
        ("blocks of nothing", file(metadata(1, &[]).repeat(200_000))),
        ("a block of 16 MB", file(vec![4, 0xff, 0xff, 0xff])),
        ("headers of frames", [file(vec![]), flac_header().repeat(100_000)].concat()),
        ("beginnings of frames", [file(vec![]), b"\xff\xf8\xc9\x08\x00\x00".repeat(100_000)].concat()),
    ]
}

/// The header of a frame with its checksum, and nothing behind it.
fn flac_header() -> Vec<u8> {
    let header = [0xff, 0xf8, 0xc9, 0x08, 0];
    let sum = header.iter().fold(0u8, |sum, &byte| {
        (0..8).fold(sum ^ byte, |sum, _| if sum & 0x80 == 0 { sum << 1 } else { sum << 1 ^ 7 })
    });
    [&header[..], &[sum]].concat()
}

/// A chunk of a RIFF file.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [kind.as_slice(), &(content.len() as u32).to_le_bytes(), content].concat()
}

fn other() -> Vec<(&'static str, Vec<u8>)> {
    let format = chunk(b"fmt ", b"\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0");
    let wav = |chunks: Vec<u8>| {
        [b"RIFF\xff\xff\xff\xffWAVE".to_vec(), format.clone(), chunks, chunk(b"data", &sound())].concat()
    };
    let texts = |count| [b"INFO".to_vec(), chunk(b"INAM", b"x\0").repeat(count)].concat();
    let id3 = |size: [u8; 4], content: &[u8]| [b"ID3\x04\0\0".as_slice(), &size, content].concat();
    vec![
        ("wav: texts", wav(chunk(b"LIST", &texts(100_000)))),
        ("wav: lists of texts", wav(chunk(b"LIST", &texts(1)).repeat(50_000))),
        ("wav: formats", wav(format.repeat(40_000))),
        ("wav: chunks of nothing", wav(chunk(b"JUNK", &[]).repeat(100_000))),
        ("wav: a chunk of 4 GB", wav([b"JUNK".as_slice(), &[0xff; 4]].concat())),
        ("ID3: tags", id3([0, 0, 0, 0], &[]).repeat(100_000)),
        ("ID3: a tag of 256 MB", id3([0x7f; 4], b"APIC\x7f\x7f\x7f\x7f")),
        ("ID3: frames", id3([0, 0x3d, 9, 0], &b"TXXX\0\0\0\x03\0\0a\0x".repeat(80_000))),
        ("mp3: beginnings of frames", b"\xff\xfb\x90\x64".repeat(250_000)),
        ("mp3: frames of nothing", {
            let frame = [b"\xff\xfb\x90\x64".to_vec(), vec![0; 413]].concat();
            frame.repeat(1000)
        }),
        ("adts: beginnings of frames", b"\xff\xf1\x50\x80\x00\xff\xfc".repeat(150_000)),
        ("all ones", vec![0xff; 1_000_000]),
        ("markers of everything", b"\0\0\0\x18ftypOggSfLaCRIFF\x1a\x45\xdf\xa3".repeat(40_000)),
    ]
}
