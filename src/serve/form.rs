//! The form of a request, read from the body as it arrives, with limits.

use std::pin::Pin;
use std::str::FromStr;
use std::task::{Poll, ready};

use futures_util::{StreamExt as _, stream};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::{HeaderMap, StatusCode, header};
use multer::{Constraints, Multipart, SizeLimit};

use super::error::ApiError;
use super::format::{Format, Times};
use crate::domain::LanguageCode;

/// The most bytes of a field that is no file.
const LONGEST_FIELD: u64 = 64 << 10;
/// The most bytes of a form besides its file.
const OVERHEAD: u64 = 1 << 20;
const MOST_FIELDS: usize = 64;
/// How much of a stranger's words is repeated in errors and logged, in characters.
const QUOTED: usize = 100;

/// What a request asks for.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// The recording.
    pub file: Option<Vec<u8>>,
    pub model: Option<String>,
    pub language: Option<LanguageCode>,
    /// The text before the recording.
    pub prompt: String,
    pub format: Format,
    /// Whose times are wanted, if it is said.
    times: Option<Times>,
    /// Whether the text is to be told as it is recognised.
    pub stream: bool,
}

impl Form {
    /// The most bytes of a body with a file of at most so many.
    pub fn most_bytes(file: u64) -> u64 {
        file.saturating_add(OVERHEAD)
    }

    /// Reads the body of a request, whose file may have so many bytes.
    pub async fn read(headers: &HeaderMap, body: &mut Incoming, file: u64) -> Result<Self, ApiError> {
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(kind).map_err(|_| {
            let message = "the request must be a form of the type multipart/form-data with a boundary";
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
        })?;
        let limits = SizeLimit::new()
            .whole_stream(Self::most_bytes(file))
            .per_field(LONGEST_FIELD)
            .for_field("file", file);
        let mut parts =
            Multipart::with_constraints(chunks(body), boundary, Constraints::new().size_limit(limits));
        let mut form = Self::default();
        let mut count = 0;
        while let Some(mut part) = parts.next_field().await.map_err(broken)? {
            count += 1;
            if count > MOST_FIELDS {
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "the form has too many fields"));
            }
            let name = part.name().unwrap_or_default().to_owned();
            if name == "file" {
                let mut bytes = Vec::new();
                while let Some(chunk) = part.chunk().await.map_err(broken)? {
                    bytes.extend_from_slice(&chunk);
                }
                form.file = Some(bytes);
            } else {
                let value = part.text().await.map_err(broken)?;
                form.set(&name, value)?;
            }
        }
        form.check()?;
        Ok(form)
    }

    /// Whose times are wanted.
    pub fn times(&self) -> Times {
        self.times.unwrap_or(Times { segments: true, words: false })
    }

    /// Checks the fields that have to fit each other.
    fn check(&self) -> Result<(), ApiError> {
        if self.times().words && self.format != Format::VerboseJson {
            let message = "only response_format=verbose_json has the times of words";
            return Err(ApiError::field("timestamp_granularities[]", message));
        }
        if self.stream && self.format != Format::Json {
            return Err(ApiError::field("stream", "a stream has response_format=json"));
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        match name {
            "model" => self.model = Some(value),
            "language" if value.is_empty() => {}
            "language" => self.language = Some(parsed(name, &value)?),
            "prompt" => self.prompt = value,
            "response_format" => self.format = parsed(name, &value)?,
            // The decoding chooses its temperatures itself.
            "temperature" if value.parse().is_ok_and(|t: f32| (0.0..=1.0).contains(&t)) => {}
            "temperature" => return Err(ApiError::field(name, "temperature must be from 0 to 1")),
            "timestamp_granularities[]" | "timestamp_granularities" => {
                let times = self.times.get_or_insert_default();
                match value.as_str() {
                    "segment" => times.segments = true,
                    "word" => times.words = true,
                    _ => return Err(ApiError::field(name, format_args!("{name} must be segment or word"))),
                }
            }
            "stream" if value.eq_ignore_ascii_case("true") => self.stream = true,
            "stream" if value.eq_ignore_ascii_case("false") => self.stream = false,
            "stream" => return Err(ApiError::field(name, "stream must be true or false")),
            _ => {
                let name = shortened(name);
                return Err(ApiError::field(&name, format_args!("there is no parameter {name:?} here")));
            }
        }
        Ok(())
    }
}

fn parsed<T: FromStr<Err: ToString>>(name: &str, value: &str) -> Result<T, ApiError> {
    shortened(value).parse().map_err(|error: T::Err| ApiError::field(name, error.to_string()))
}

/// The start of a stranger's words.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}

/// Reads the rest of a body, but hardly more than so many bytes.
pub(super) async fn discard(mut body: Incoming, most: u64) {
    let mut chunks = chunks(&mut body);
    let mut read = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        read += chunk.len() as u64;
        if read > most {
            break;
        }
    }
}

/// The data of a body.
fn chunks(body: &mut Incoming) -> impl stream::Stream<Item = Result<Bytes, hyper::Error>> {
    stream::poll_fn(move |context| {
        loop {
            match ready!(Pin::new(&mut *body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                    // Trailers are no data.
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    })
}

fn broken(error: multer::Error) -> ApiError {
    let status = match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        _ => StatusCode::BAD_REQUEST,
    };
    ApiError::new(status, format_args!("the form cannot be read: {}", shortened(&error.to_string())))
}
