//! What a message may contain.

use unicode_width::UnicodeWidthChar;

/// The emoji flags that are spelled with tag characters. All other tags are invisible text.
const TAGGED_FLAGS: [&str; 3] = [
    "\u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
    "\u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
    "\u{1F3F4}\u{E0067}\u{E0062}\u{E0077}\u{E006C}\u{E0073}\u{E007F}",
];

/// `text` without characters that hide text, change its direction or cover the lines around it.
/// Empty if nothing visible is left.
///
/// Ordinary text stays as it is, byte for byte. The result is never longer, and sanitising it again
/// changes nothing, because each decision depends only on what was kept before.
pub fn sanitise(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut previous = ' ';
    // Characters without a width since the last one that has a width.
    let mut marks = 0;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(flag) = TAGGED_FLAGS.into_iter().find(|flag| rest.starts_with(flag)) {
            clean.push_str(flag);
            (previous, marks, rest) = (first, 0, &rest[flag.len()..]);
            continue;
        }
        rest = &rest[first.len_utf8()..];
        let Some(c) = allowed(first) else { continue };
        let has_width = c.width() != Some(0);
        if !has_width && (marks >= most_marks(c) || (is_joiner(c) && !takes_joiner(previous))) {
            continue;
        }
        marks = if has_width { 0 } else { marks + 1 };
        previous = c;
        clean.push(c);
    }
    let is_visible = |c: char| !c.is_whitespace() && c.width() != Some(0);
    if clean.contains(is_visible) { clean } else { String::new() }
}

/// What takes the place of `c`, wherever it stands: mostly `c` itself, a space for unusual white
/// space, `None` if it is removed.
fn allowed(c: char) -> Option<char> {
    match c {
        '\n' => Some(c),
        // Line separators, and letters that look like a space.
        '\u{2028}' | '\u{2029}' | '\u{115F}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}' => Some(' '),
        // They change the direction of the text around them.
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => None,
        // They are invisible, and no script needs them in a message.
        '\u{AD}' | '\u{34F}' | '\u{180E}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}' => None,
        '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' => None,
        // Tags, and the reserved ranges beside them. The variation selectors in between are kept.
        '\u{E0000}'..='\u{E00FF}' | '\u{E01F0}'..='\u{E0FFF}' => None,
        // For private use.
        '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}' => None,
        // Never characters; the last two of plane 0 to 14.
        '\u{FDD0}'..='\u{FDEF}' => None,
        _ if u32::from(c) & 0xFFFE == 0xFFFE => None,
        _ if c.is_control() => c.is_whitespace().then_some(' '),
        _ => Some(c),
    }
}

/// How many characters without a width may follow another character, if the last of them is `c`.
fn most_marks(c: char) -> usize {
    match c {
        // A variation selector comes right after its character. Others would carry hidden bytes.
        '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' => 1,
        // Marks of Latin, Greek, Cyrillic and symbols: two in Vietnamese, three in phonetic script.
        '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{1AB0}'..='\u{1AFF}' => 3,
        '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}' => 3,
        // Pointed Hebrew with accents, Tibetan and Burmese have the most.
        _ => 6,
    }
}

/// Zero-width space, non-joiner and joiner.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200D}')
}

/// Scripts that are written with joiners, such as Persian, Hindi and Khmer, and emoji.
fn takes_joiner(c: char) -> bool {
    match c {
        '\u{600}'..='\u{1CFF}' | '\u{A800}'..='\u{ABFF}' | '\u{10A00}'..='\u{11FFF}' => true,
        // Arabic letters in their contextual forms.
        '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' => true,
        // Symbols and emoji, and the selector that makes an emoji of a symbol.
        '\u{2190}'..='\u{2BFF}' | '\u{1F000}'..='\u{1FAFF}' | '\u{FE0F}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use support::speech::Random;

    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "",
            "Привет! Всё хорошо, ёлка — «Москва», +7 900 000-00-00, см. example.org/я?q=1&w=2.\nДо завтра…",
            "И\u{306} е\u{308} в разложенной форме, слово\u{301} с ударением",
            "Tiếng Vie\u{323}\u{302}t, Ångström, naïve, crème brûlée, ɔ\u{303}\u{300}\u{325}",
            "می\u{200C}خواهم کتاب\u{200C}هایم را بخوانم، خانه\u{200C}ای بزرگ است؟",
            "مُحَمَّدٌ رَسُولُ اللَّهِ هَـٰذَا",
            "मैं हिंदी में बोल रहा हूँ। क्\u{200D}ष शक्\u{200C}ति र्\u{200D}य ज़िंदगी",
            "നന്ദി, അവന്\u{200D} വന്നു",
            "ශ්\u{200D}රී ලංකාව",
            "ที่นี่\u{200B}ภาษาไทย น้ำ ผู้ใหญ่ กี๋ เก๊ะ",
            "ភាសា\u{200B}ខ្មែរ ស្ត្រី",
            "မြန်မာဘာသာ လွှဲပြောင်း ကြွှ",
            "བོད་སྐད་ ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ",
            "שלום עולם! בְּרֵאשִׁ֖ית בָּרָ֣א אֱלֹהִ֑ים",
            "日本語、葛\u{E0100}飾区。　全角スペース",
            "한국어 각\u{1112}\u{1161}\u{11AB}",
            "👨\u{200D}👩\u{200D}👧\u{200D}👦 👩🏽\u{200D}🚀 🏳\u{FE0F}\u{200D}🌈 ❤\u{FE0F}\u{200D}🔥 👁\u{FE0F}\u{200D}🗨\u{FE0F} 1\u{FE0F}\u{20E3} ⛹🏿\u{200D}♀\u{FE0F} 🏴\u{200D}☠\u{FE0F}",
            "🇷🇺🇺🇦🇮🇷🇮🇳",
            TAGGED_FLAGS[0],
            "\u{a0}10\u{202f}000\u{2009}€ … \u{FFFD}",
        ] {
            assert_eq!(sanitise(text), text);
        }
        assert_eq!(sanitise(&"ж".repeat(5_000)).len(), 10_000);
    }

    #[test]
    fn hidden_characters_are_removed() {
        for (text, clean) in [
            ("a\u{0}b\u{1b}[31mc\u{7f}d\u{9b}e", "ab[31mcde"),
            ("one\ttwo\r\nthree\u{85}four\u{2028}five\u{3164}six", "one two \nthree four five six"),
            ("\u{202E}txt.exe\u{202C} \u{2066}a\u{2069}\u{200F}b\u{200E}c\u{61C}", "txt.exe abc"),
            ("pass\u{200B}word п\u{200C}а\u{200D}роль \u{FEFF}a\u{2060}b\u{AD}c", "password пароль abc"),
            ("می\u{200C}\u{200C}\u{200B}\u{200D}خواهم \u{200C}", "می\u{200C}خواهم "),
            ("👩\u{200D}\u{200D}\u{200D}🚀", "👩\u{200D}🚀"),
            ("a\u{E0068}\u{E0069}b🏴\u{E0068}", "ab🏴"),
            ("a\u{E000}\u{F0001}\u{10FFFD}\u{FDD0}\u{FFFE}\u{1FFFF}b", "ab"),
            ("\u{FFF9}a\u{FFFA}b\u{FFFB}", "ab"),
            ("😀\u{FE01}\u{E0101}\u{E0102}\u{FE0F}", "😀\u{FE01}"),
        ] {
            assert_eq!(sanitise(text), clean, "{text:?}");
        }
    }

    #[test]
    fn marks_are_limited() {
        let marks = |clean: String| clean.chars().count() - 1;
        for (base, mark, most) in
            [("a", "\u{315}", 3), ("я", "\u{489}", 3), ("ก", "\u{e49}", 6), ("ب", "\u{651}", 6)]
        {
            assert_eq!(marks(sanitise(&format!("{base}{}", mark.repeat(500)))), most, "{base}");
        }
        // A joiner does not begin to count anew.
        assert_eq!(marks(sanitise(&format!("ब{}", "\u{94d}\u{200D}".repeat(500)))), 6);
    }

    #[test]
    fn nothing_is_left_of_text_that_nobody_sees() {
        for text in
            [" \n\t\u{a0}\u{3000}", "\u{200B}\u{200D}\u{FEFF}", "\u{2800}\u{3164} ", "\u{301}\u{FE0F}"]
        {
            assert_eq!(sanitise(text), "", "{text:?}");
        }
    }

    /// Random text of characters of every kind, in runs.
    fn random_text(random: &mut Random) -> String {
        const KINDS: [&str; 8] = [
            "aZ.ж語\u{645}\u{915}\u{e01}",
            " \n\t\r\u{85}\u{a0}\u{2028}\u{2800}",
            "\u{200B}\u{200C}\u{200D}\u{2060}\u{FEFF}\u{AD}",
            "\u{200E}\u{202E}\u{2069}\u{61C}\u{0}\u{1b}\u{9b}",
            "\u{301}\u{489}\u{94d}\u{e49}\u{651}\u{20E3}",
            "\u{FE00}\u{FE0F}\u{E0100}\u{E01EF}",
            "👩🏽🏴❤🇷\u{E0067}\u{E0062}\u{E007F}",
            "\u{E000}\u{FFFE}\u{FDD0}\u{FFF9}\u{10FFFF}\u{FFFD}",
        ];
        let mut text = String::new();
        for _ in 0..random.below(12) {
            let kind: Vec<char> = KINDS[random.below(KINDS.len())].chars().collect();
            text.extend((0..random.below(10)).map(|_| kind[random.below(kind.len())]));
            if random.below(20) == 0 {
                text.push_str(TAGGED_FLAGS[random.below(3)]);
            }
        }
        text
    }

    #[test]
    fn sanitising_twice_changes_nothing_and_nothing_is_added() {
        let mut random = Random::new();
        for _ in 0..20_000 {
            let text = random_text(&mut random);
            let clean = sanitise(&text);
            assert_eq!(sanitise(&clean), clean, "{text:?}");
            assert!(clean.len() <= text.len(), "{text:?}");
            // In order, all that is left was there, or is the space that took its place.
            let mut before = text.chars();
            for c in clean.chars() {
                assert!(
                    before.any(|b| b == c || (c == ' ' && allowed(b) == Some(' '))),
                    "{text:?} {clean:?}"
                );
            }
            assert!(!clean.contains(['\u{202E}', '\u{200E}', '\u{0}', '\u{1b}', '\u{FEFF}', '\u{FDD0}']));
        }
    }
}
