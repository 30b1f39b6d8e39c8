//! Guesses which variable was meant by an unknown name.

use std::borrow::Cow;

use super::variables::VARIABLES;

/// The variable that was probably meant by `name`, if that is not a variable itself.
pub(super) fn misspelt(name: &str) -> Option<Cow<'static, str>> {
    let ours = VARIABLES.iter().flat_map(|variable| {
        let file_name = variable.from_file.then(|| Cow::Owned(variable.file_name()));
        [Some(Cow::Borrowed(variable.name)), file_name].into_iter().flatten()
    });
    let nearest = ours.min_by_key(|our| distance(name, our))?;
    let family = |name: &str| name.split_once('_').map(|(prefix, _)| prefix.to_ascii_uppercase());
    match distance(name, &nearest) {
        _ if name == nearest => None,
        0..=2 => Some(nearest),
        _ if family(name).is_some() && family(name) == family(&nearest) => Some(nearest),
        _ => None,
    }
}

/// The Levenshtein distance, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_uppercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, in_a) in a.to_uppercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, in_b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(in_a != *in_b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_close_to_a_variable_are_recognised() {
        for (name, meant) in [
            ("API_HSAH", Some("API_HASH")),
            ("api_hash", Some("API_HASH")),
            ("API_KEY", Some("API_ID")),
            ("LANGUAGES_", Some("LANGUAGES")),
            ("REDIS_PASWORD_FILE", Some("REDIS_PASSWORD_FILE")),
            ("REDIS_HOSTNAME", Some("REDIS_HOST")),
            ("MAX_SIZE", Some("MAX_FILE_SIZE")),
            ("API_ID", None),
            ("API_ID_FILE", None),
            ("TZ", None),
            ("COMPOSE_PROJECT_NAME", None),
        ] {
            assert_eq!(misspelt(name).as_deref(), meant, "{name}");
        }
    }
}
