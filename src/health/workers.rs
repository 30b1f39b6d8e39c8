//! The workers of a fleet, as a gateway shows them: on its page and in its metrics.

use std::fmt::Write as _;
use std::time::Duration;

use super::facts::Facts;
use super::words::{self, Locale};
use crate::queue::fleet::Card;

/// A worker that was seen this long ago is shown as away.
const AWAY: Duration = Duration::from_secs(30);

/// A worker as of now.
pub(super) struct ShownWorker {
    /// Its name without characters that mean something elsewhere, and unlike those of the others.
    pub label: String,
    pub card: Card,
    pub ago: Duration,
}

impl ShownWorker {
    /// Seconds of recognition for each second of audio.
    pub fn factor(&self) -> Option<f64> {
        let Card { audio, took, .. } = self.card;
        (audio > 0.0 && took > 0.0).then(|| took / audio)
    }
}

/// The workers that were seen lately.
pub(super) fn shown(facts: &Facts) -> Vec<ShownWorker> {
    let since = facts.fleet.at.map_or(Duration::ZERO, |at| at.elapsed());
    let mut shown: Vec<ShownWorker> = Vec::new();
    for seen in &facts.fleet.workers {
        let plain: String = seen.card.name.chars().filter(|c| is_plain(*c)).collect();
        let is_taken = |label: &str| shown.iter().any(|other| other.label == label);
        let numbered = (2..).map(|number| format!("{plain} #{number}"));
        let label = std::iter::once(plain.clone()).chain(numbered).find(|label| !is_taken(label));
        shown.push(ShownWorker {
            label: label.unwrap_or(plain),
            card: seen.card.clone(),
            ago: seen.ago + since,
        });
    }
    shown
}

fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '"' | '\\' | '<' | '>' | '&')
}

/// The table of the workers; empty where there is none to show.
pub(super) fn table(locale: Locale, facts: &Facts) -> String {
    let workers = shown(facts);
    if workers.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for worker in &workers {
        let ago = words::duration(locale, worker.ago);
        let ago = locale.pick(format!("{ago} ago"), format!("{ago} назад"));
        let class = if worker.ago >= AWAY { "left ill-text" } else { "left" };
        let models: Vec<String> =
            worker.card.models.iter().map(|model| model.chars().filter(|c| is_plain(*c)).collect()).collect();
        let factor = worker.factor().map_or("–".into(), |factor| words::number(locale, factor, 2));
        let _ = writeln!(
            rows,
            "<tr><td class=\"left\">{}</td><td class=\"left\">{}</td><td class=\"{class}\">{ago}</td>\
             <td>{}</td><td>{}</td><td>{factor}</td></tr>",
            worker.label,
            models.join(", "),
            worker.card.in_hand,
            worker.card.ended
        );
    }
    let title = locale.pick("Workers", "Обработчики");
    let heads = [
        ("left", locale.pick("Name", "Имя")),
        ("left", locale.pick("Model", "Модель")),
        ("left", locale.pick("Seen", "На связи")),
        ("", locale.pick("In hand", "В работе")),
        ("", locale.pick("Ended", "Завершено")),
        ("", locale.pick("Real-time factor", "Доля реального времени")),
    ]
    .map(|(class, text)| format!("<th scope=\"col\" class=\"{class}\">{text}</th>"))
    .concat();
    format!(
        "<section>\n<h2 id=\"workers\">{title}</h2>\n<div class=\"scroll\" role=\"region\" \
         aria-labelledby=\"workers\" tabindex=\"0\"><table><thead><tr>{heads}</tr></thead>\
         <tbody>{rows}</tbody></table></div>\n</section>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::fleet::Seen;

    #[test]
    fn workers_of_one_name_are_told_apart_and_their_names_are_no_markup() {
        let mut facts = Facts::new(&[]);
        let seen = |name: &str, took| {
            let card = Card { name: name.into(), audio: 10.0, took, in_hand: 2, ..Card::default() };
            Seen { card, ago: Duration::from_secs(3) }
        };
        facts.fleet.workers = vec![seen("pc", 5.0), seen("pc", 0.0), seen("<b>\"x", 1.0)];
        let workers = shown(&facts);
        let labels: Vec<_> = workers.iter().map(|worker| worker.label.as_str()).collect();
        assert_eq!(labels, ["pc", "pc #2", "bx"]);
        assert_eq!(workers[0].factor(), Some(0.5));
        assert_eq!(workers[1].factor(), None);
        let table = table(Locale::English, &facts);
        assert!(table.contains("pc #2") && table.contains("0.50") && !table.contains("<b>"), "{table}");
    }
}
