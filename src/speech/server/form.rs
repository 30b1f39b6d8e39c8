//! A form with a file, as `multipart/form-data` (RFC 7578).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Names, file names and content types are ours, so none needs escaping; values may hold anything.
pub(super) struct Form {
    /// Random, so that nobody can put it into a recording or a text.
    boundary: String,
    body: Vec<u8>,
}

impl Default for Form {
    fn default() -> Self {
        let [first, second] = [(); 2].map(|()| RandomState::new().hash_one(0));
        Self { boundary: format!("stenogram-{first:016x}{second:016x}"), body: Vec::new() }
    }
}

impl Form {
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    pub fn field(&mut self, name: &str, value: &str) {
        self.part(&format!("name=\"{name}\""), "", value.as_bytes());
    }

    pub fn file(&mut self, name: &str, file: &str, kind: &str, content: &[u8]) {
        let disposition = format!("name=\"{name}\"; filename=\"{file}\"");
        self.part(&disposition, &format!("Content-Type: {kind}\r\n"), content);
    }

    /// The whole form.
    pub fn body(mut self) -> Vec<u8> {
        self.body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        self.body
    }

    fn part(&mut self, disposition: &str, headers: &str, content: &[u8]) {
        let head =
            format!("--{}\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n", self.boundary);
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn parts_stand_between_boundaries_that_nobody_can_know() {
        let mut form = Form::default();
        form.field("model", "base");
        form.file("file", "a.wav", "audio/wav", b"\x00\xff");
        let kind = form.content_type();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let body = form.body();
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nbase\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
             Content-Type: audio/wav\r\n\r\n"
        );
        let rest = body.strip_prefix(expected.as_bytes()).expect("the two parts");
        assert_eq!(rest, [b"\x00\xff\r\n", format!("--{boundary}--\r\n").as_bytes()].concat());
        assert_ne!(kind, Form::default().content_type());
    }
}
