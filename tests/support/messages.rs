//! The texts in a Rust source, and in which calls they stand.

/// A text of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub line: usize,
    /// As the program has it: escapes resolved, lines joined.
    pub text: String,
    /// The names of the calls and macros around it, the innermost last: `fail`, `warn!`, and `#error` for an
    /// attribute.
    pub within: Vec<String>,
}

/// Every text of `source`, up to its unit tests.
pub fn texts(source: &str) -> Vec<Text> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut within: Vec<String> = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let length = match rest[0] {
            '/' if rest.starts_with(&['/', '/']) => rest.iter().take_while(|&&c| c != '\n').count(),
            '\'' if rest.get(2) == Some(&'\'') || rest.get(1) == Some(&'\\') => {
                2 + rest[2..].iter().take_while(|&&c| c != '\'').count() + 1
            }
            '"' => {
                let (text, length) = quoted(rest);
                found.push(Text { line, text, within: within.clone() });
                length
            }
            'r' if rest.starts_with(&['r', '#', '"']) => {
                let end = rest.windows(2).skip(3).position(|two| two == ['"', '#']).expect("it ends");
                found.push(Text { line, text: rest[3..3 + end].iter().collect(), within: within.clone() });
                3 + end + 2
            }
            '(' => {
                within.push(name_before(&chars[..at]));
                1
            }
            ')' => {
                within.pop();
                1
            }
            _ => 1,
        };
        line += rest[..length].iter().filter(|&&c| c == '\n').count();
        at += length;
    }
    found
}

/// The text between quotes, and how long it is in the source.
fn quoted(rest: &[char]) -> (String, usize) {
    let (mut text, mut at) = (String::new(), 1);
    while rest[at] != '"' {
        match (rest[at], rest[at + 1]) {
            ('\\', '\n') => {
                at += 1;
                at += rest[at..].iter().take_while(|c| c.is_whitespace()).count();
                continue;
            }
            ('\\', escaped) => {
                text.push(if escaped == 'n' { ' ' } else { escaped });
                at += 2;
                continue;
            }
            (c, _) => text.push(c),
        }
        at += 1;
    }
    (text, at + 1)
}

/// What stands before a parenthesis: `name`, `name!`, or `#name` for an attribute.
fn name_before(before: &[char]) -> String {
    let macro_sign = before.last() == Some(&'!');
    let before = &before[..before.len() - usize::from(macro_sign)];
    let length = before.iter().rev().take_while(|c| c.is_alphanumeric() || **c == '_').count();
    let (outside, name) = before.split_at(before.len() - length);
    let name: String = name.iter().collect();
    match (outside.ends_with(&['#', '[']), macro_sign) {
        (true, _) => format!("#{name}"),
        (false, true) => format!("{name}!"),
        (false, false) => name,
    }
}
