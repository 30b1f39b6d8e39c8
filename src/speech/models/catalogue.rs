//! The catalogue of models that stenogram can download.

use std::path::{Path, PathBuf};

use super::hex::{hex, unhex};
use crate::runtime::problem::Diagnosis;
use crate::speech::problems::{MODEL_UNKNOWN, unusable_model};

/// A model that can be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// Its name in the configuration: `base`, `large-v3-turbo-q5_0`.
    pub name: &'static str,
    pub file: &'static str,
    pub bytes: u64,
    pub sha256: [u8; 32],
    /// The approximate memory in MiB during a recognition: whisper.cpp's own table for the f16
    /// files, less what quantised weights save.
    pub memory_mib: u32,
    /// How long it takes to recognise 10 s on a CPU, in percent of the time of `base`. Measured up
    /// to `small-q5_1` by `cargo bench --bench speech -- beside-base`; for larger models it is
    /// derived from that of `small` and their number of multiplications. A `q8_0` model takes 0.95
    /// of its original's time, as measured with `base` (docs/BENCHMARKS.md). None if it is not a
    /// speech model.
    pub relative_time: Option<u32>,
    pub note: &'static str,
    /// The URL of the folder that it is downloaded from without a mirror, with a slash at the end.
    pub home: &'static str,
}

/// The name is not in the catalogue.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.diagnosis())]
pub struct UnknownModel(String);

impl UnknownModel {
    /// What is wrong, and what to do.
    pub fn diagnosis(&self) -> Diagnosis {
        let names: Vec<_> = SPEECH_MODELS.iter().chain(&GGUF_MODELS).map(|spec| spec.name).collect();
        MODEL_UNKNOWN.with(format_args!(
            "there is no model {:?}: give the path of a .bin file or .gguf file, or one of {}",
            self.0,
            names.join(", ")
        ))
    }
}

/// A file of the catalogue's, or one with the name of such a file, that has another size.
pub fn wrong_size(path: &Path, found: u64, expected: u64) -> Diagnosis {
    let shown = path.display();
    unusable_model(
        path,
        format_args!("the model {shown} has {found} bytes and should have {expected}: it is not whole"),
    )
}

impl ModelSpec {
    /// The entry with this name.
    pub fn named(name: &str) -> Result<&'static Self, UnknownModel> {
        catalogue().find(|spec| spec.name == name).ok_or_else(|| UnknownModel(name.to_owned()))
    }

    /// The entry whose file has the name of the file at `path`.
    pub fn of_file(path: &Path) -> Option<&'static Self> {
        let file = path.file_name()?;
        catalogue().find(|spec| file == spec.file)
    }

    /// The model that it is a quantised form of, or itself: `small` for `small-q8_0`.
    pub fn family(&self) -> &'static str {
        self.name.split_once("-q").map_or(self.name, |(family, _)| family)
    }

    pub fn path(&self, directory: &Path) -> PathBuf {
        directory.join(self.file)
    }

    /// The size of its file in `directory`, if it exists.
    pub fn installed(&self, directory: &Path) -> Option<u64> {
        let metadata = std::fs::metadata(self.path(directory)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// The beginning of its SHA-256, long enough to tell files apart.
    pub fn sha_prefix(&self) -> String {
        hex(&self.sha256[..6])
    }

    /// Where it is downloaded from. `mirror` is the URL of a folder (`http://nas.local/models`)
    /// that contains the file under the same name.
    pub fn url(&self, mirror: Option<&str>) -> String {
        let folder = mirror.unwrap_or(self.home);
        format!("{}/{}", folder.trim_end_matches('/'), self.file)
    }
}

/// All entries: Whisper's models from small to large, those for transcribe.cpp, then the voice
/// activity model.
pub fn catalogue() -> impl Iterator<Item = &'static ModelSpec> {
    SPEECH_MODELS.iter().chain(&GGUF_MODELS).chain([&SILERO_VAD])
}

/// The collection `ggerganov/whisper.cpp`, MIT, at a fixed revision, so that the hashes stay valid.
const WHISPER: &str =
    "https://huggingface.co/ggerganov/whisper.cpp/resolve/5359861c739e955e79d9a303bcbc70fb988958b1/";
/// The collection `ggml-org/whisper-vad`, MIT.
const VAD: &str =
    "https://huggingface.co/ggml-org/whisper-vad/resolve/9ffd54a1e1ee413ddf265af9913beaf518d1639b/";

/// An entry for a speech model.
macro_rules! speech {
    ($name:literal, $note:literal, $bytes:literal, $memory_mib:literal, $relative_time:literal, $sha256:literal) => {
        ModelSpec {
            name: $name,
            file: concat!("ggml-", $name, ".bin"),
            bytes: $bytes,
            sha256: unhex($sha256),
            memory_mib: $memory_mib,
            relative_time: Some($relative_time),
            note: $note,
            home: WHISPER,
        }
    };
}

/// Whisper's models, without the English-only ones.
#[rustfmt::skip]
pub static SPEECH_MODELS: [ModelSpec; 17] = [
    // The name and the note; the size in bytes, the memory, the relative time and the SHA-256.
    speech!("tiny", "fastest, many mistakes",
        77_691_713, 273, 49, "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21"),
    speech!("tiny-q5_1", "tiny, quantised",
        32_152_673, 230, 59, "818710568da3ca15689e31a743197b520007872ff9576237bda97bd1b469c3d7"),
    speech!("tiny-q8_0", "tiny, quantised to 8 bits",
        43_537_433, 240, 47, "c2085835d3f50733e2ff6e4b41ae8a2b8d8110461e18821b09a15c40c42d1cca"),
    speech!("base", "fair English, weak Russian",
        147_951_465, 388, 100, "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe"),
    speech!("base-q5_1", "base, quantised",
        59_707_625, 304, 125, "422f1ae452ade6f30a004d7e5c6a43195e4433bc370bf23fac9cc591f01a8898"),
    speech!("base-q8_0", "base, quantised to 8 bits: for small machines",
        81_768_585, 325, 95, "c577b9a86e7e048a0b7eada054f4dd79a56bbfa911fbdacf900ac5b567cbb7d9"),
    speech!("small", "good",
        487_601_967, 852, 330, "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b"),
    speech!("small-q5_1", "small, quantised",
        190_085_487, 568, 430, "ae85e4a935d7a567bd102fe55afc16bb595bdb618e11b2fc7591bc08120411bb"),
    speech!("small-q8_0", "small, quantised to 8 bits: the usual choice on a CPU",
        264_464_607, 640, 310, "49c8fb02b65e6049d5fa6c04f81f53b867b5ec9540406812c643f177317f779f"),
    speech!("medium", "very good, slow without a GPU",
        1_533_763_059, 2150, 1100, "6c14d5adee5f86394037b4e4e8b59f1673b6cee10e3cf0b11bbdbee79c156208"),
    speech!("medium-q5_0", "medium, quantised",
        539_212_467, 1100, 1200, "19fea4b380c3a618ec4723c3eef2eb785ffba0d0538cf43f8f235e7b3b34220f"),
    speech!("medium-q8_0", "medium, quantised to 8 bits",
        823_369_779, 1470, 1050, "42a1ffcbe4167d224232443396968db4d02d4e8e87e213d3ee2e03095dea6502"),
    speech!("large-v3", "best, needs a GPU",
        3_095_033_483, 3990, 2200, "64d182b440b98d5203c4f9bd541544d84c605196c4f7b845dfa11fb23594d1e2"),
    speech!("large-v3-q5_0", "large-v3, quantised",
        1_081_140_203, 2070, 2200, "d75795ecff3f83b5faa89d1900604ad8c780abd5739fae406de19f23ecd98ad1"),
    speech!("large-v3-turbo", "nearly as good as large-v3, on a GPU several times faster",
        1_624_555_275, 2100, 2100, "1fc70f774d38eb169993ac391eea357ef47c88757ef72ee5943879b7e8e2bc69"),
    speech!("large-v3-turbo-q5_0", "large-v3-turbo, quantised: the best that fits small machines",
        574_041_195, 1100, 2100, "394221709cd5ad1f40c46e6031ca61bce88931e6e088c188294c6d5a55ffa7e2"),
    speech!("large-v3-turbo-q8_0", "large-v3-turbo, quantised to 8 bits",
        874_188_075, 1380, 2000, "317eb69c11673c9de1e1f0d459b253999804ec71ac4c23c17ecf5fbe24e259a1"),
];

/// Models for transcribe.cpp, converted by its makers. Sizes and hashes were found in several
/// independent public projects each; nobody here has had the files.
pub static GGUF_MODELS: [ModelSpec; 2] = [
    // ai-sage/GigaAM-v3, the head with punctuation (e2e_rnnt), MIT.
    ModelSpec {
        name: "gigaam-v3",
        file: "gigaam-v3-e2e-rnnt-Q4_K_M.gguf",
        bytes: 183_948_704,
        sha256: unhex("7d69952fb431a8d7800ed9910dc61fea37d8406bfe96d10bf24c8bd4b7c68623"),
        memory_mib: 280,
        relative_time: None,
        note: "Russian only, and best at it; GigaAM v3 by Sber, MIT",
        home: "https://huggingface.co/handy-computer/gigaam-v3-e2e-rnnt-gguf/resolve/f719d70812344f4d0fb8c11c0887b190501a7465/",
    },
    // nvidia/parakeet-tdt-0.6b-v3, CC-BY-4.0, which wants its author named.
    ModelSpec {
        name: "parakeet-v3",
        file: "parakeet-tdt-0.6b-v3-Q4_K_M.gguf",
        bytes: 485_425_504,
        sha256: unhex("b68557be1e3c40207fd7c4bd9d63f1d3316b963f15325bfb0cc16a8bb0ffd181"),
        memory_mib: 700,
        relative_time: None,
        note: "25 languages of Europe; Parakeet TDT 0.6B v3 by NVIDIA, CC-BY-4.0",
        home: "https://huggingface.co/handy-computer/parakeet-tdt-0.6b-v3-gguf/resolve/85ac09ea12fc4b1112fa76810059364bc6adc9de/",
    },
];

/// Silero's voice activity model, in whisper.cpp's format.
pub static SILERO_VAD: ModelSpec = ModelSpec {
    name: "silero-v5.1.2",
    file: "ggml-silero-v5.1.2.bin",
    bytes: 885_098,
    sha256: unhex("29940d98d42b91fbd05ce489f3ecf7c72f0a42f027e4875919a28fb4c04ea2cf"),
    memory_mib: 5,
    relative_time: None,
    note: "voice activity detection, no speech model",
    home: VAD,
};
