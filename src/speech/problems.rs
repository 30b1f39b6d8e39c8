//! What can be wrong with the models, and with the machine for recognising.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::Path;

use super::models::ModelSpec;
use crate::runtime::problem::{Diagnosis, Problem};

pub static PROBLEMS: &[&Problem] = &[
    &MODEL_UNUSABLE,
    &OWN_MODEL_UNUSABLE,
    &MODEL_UNKNOWN,
    &MODEL_REPLACED,
    &LANGUAGE_NOT_IN_MODEL,
    &TRANSLATION_IMPOSSIBLE,
    &VAD_UNUSABLE,
    &DOWNLOAD_FAILED,
    &DOWNLOAD_WRONG,
    &DOWNLOAD_BUSY,
    &DOWNLOAD_PROXY,
    &OUT_OF_MEMORY,
    &TRANSCRIBE_CPP_MISSING,
    &CPU_TOO_OLD,
    &GPU_MISSING,
    &TOO_MANY_THREADS,
    &RECOGNITION_FAILED,
    &RECOGNISER_AWAY,
    &RECOGNISER_REFUSES,
    &RECOGNISER_CA,
    &RECOGNISER_FAILED,
    &RECOGNISER_PUBLIC,
];

/// A model's file that cannot be used: only those of the catalogue can be fetched.
pub fn unusable_model(path: &Path, what: impl Display) -> Diagnosis {
    match ModelSpec::of_file(path) {
        Some(spec) => MODEL_UNUSABLE.with(what).fill("name", spec.name),
        None => OWN_MODEL_UNUSABLE.with(what),
    }
}

/// More threads are asked for than there are cores.
pub fn too_many_threads(asked: NonZeroUsize, cores: NonZeroUsize) -> Diagnosis {
    let what = format_args!(
        "THREADS={asked} is more than the {cores} cores there are for stenogram, which uses {cores}"
    );
    TOO_MANY_THREADS.with(what).fill("cores", cores)
}

pub static MODEL_UNUSABLE: Problem = Problem {
    code: "model-unusable",
    title: "The model is missing, incomplete or damaged",
    why: "The file was not downloaded or copied whole, or another file has its name. whisper.cpp would crash over \
          it, so it is checked first.",
    remedy: "`stenogram models pull <name>` fetches a good one",
};

pub static OWN_MODEL_UNUSABLE: Problem = Problem {
    code: "own-model-unusable",
    title: "The model file of your own is missing, damaged, or no ggml file nor GGUF file",
    why: "MODEL names a file that is not in the catalogue. whisper.cpp's ggml-*.bin files work, and GGUF files \
          that transcribe.cpp reads; PyTorch and faster-whisper files do not.",
    remedy: "put a good file in its place, or name a model of `stenogram models list` in MODEL",
};

pub static MODEL_UNKNOWN: Problem = Problem {
    code: "model-unknown",
    title: "There is no model of that name: give one of the catalogue, or the path of a .bin file or .gguf file",
    why: "A model is given by its name in the catalogue or by the path of a .bin or .gguf file.",
    remedy: "correct MODEL or what was typed; `stenogram models list` shows the names",
};

pub static MODEL_REPLACED: Problem = Problem {
    code: "model-replaced",
    title: "The model is another one than at the start",
    why: "With IDLE_UNLOAD the model is loaded again when it is needed, and meanwhile its file was replaced by one \
          of another kind.",
    remedy: "restart stenogram to use the new model",
};

pub static LANGUAGE_NOT_IN_MODEL: Problem = Problem {
    code: "language-not-in-model",
    title: "The model was not trained for the language",
    why: "Models whose name ends in .en know English only, older ones lack Cantonese, and GigaAM knows Russian only.",
    remedy: "correct LANGUAGE or LANGUAGES, name a multilingual or newer model in MODEL, or one for this language in MODELS",
};

pub static TRANSLATION_IMPOSSIBLE: Problem = Problem {
    code: "translation-impossible",
    title: "The model cannot translate",
    why: "English-only models have nothing to translate from, and large-v3-turbo and distilled models were trained \
          to transcribe only.",
    remedy: "take large-v3, medium or small, or set TASK=transcribe",
};

pub static VAD_UNUSABLE: Problem = Problem {
    code: "vad-unusable",
    title: "The voice activity model is missing or damaged",
    why: "Without it recordings are recognised whole: silence costs time and may be given words.",
    remedy: "`stenogram models pull silero-v5.1.2` fetches it",
};

pub static DOWNLOAD_FAILED: Problem = Problem {
    code: "download-failed",
    title: "Model download fails: given up after several attempts",
    why: "The connection broke, or the server did not answer. What has arrived is kept.",
    remedy: "run `stenogram models pull` again, it goes on where it stopped; if Hugging Face cannot be reached, set \
             MODEL_URL to a mirror, or copy the file into MODEL_DIR and run `stenogram models verify`",
};

pub static DOWNLOAD_WRONG: Problem = Problem {
    code: "download-wrong",
    title: "Model download fails: the server refuses, or gives another file (404, wrong size, wrong SHA-256)",
    why: "The mirror has another file under this name, the address is wrong, or a proxy or login page answers in \
          the server's place.",
    remedy: "check MODEL_URL, and open the address in a browser to see what is there",
};

pub static DOWNLOAD_BUSY: Problem = Problem {
    code: "download-busy",
    title: "The model is being fetched by another process",
    why: "Another `stenogram models pull` runs, such as that of the container or the service.",
    remedy: "wait until it is done, or stop it",
};

pub static DOWNLOAD_PROXY: Problem = Problem {
    code: "download-proxy",
    title: "The proxy for downloads and for RECOGNISER cannot be used: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY",
    why: "The variable is set, but not to the address of a proxy of a known kind. Nothing goes past a proxy, except \
          to a recogniser on the local network.",
    remedy: "set it to http://host:port or socks5://host:port, or unset it",
};

pub static OUT_OF_MEMORY: Problem = Problem {
    code: "out-of-memory",
    title: "Out of memory: Killed, status 137, OOMKilled; whisper.cpp cannot load the model",
    why: "The model needs more memory than the machine, the container or the unit has left.",
    remedy: "take a smaller or a quantised model (README's table), or give it more memory: USERBOT_MEMORY in .env \
             with docker-compose, the container's in Proxmox, MemoryMax of the unit; the smallest counts",
};

pub static TRANSCRIBE_CPP_MISSING: Problem = Problem {
    code: "transcribe-cpp-missing",
    title: "This build has no transcribe.cpp, which GigaAM, Parakeet and other GGUF models need",
    why: "They are run by a second program, stenogram-transcribe-cpp, which is looked for beside stenogram and is \
          built only on demand.",
    remedy: "build with `cargo build --release --features transcribe-cpp`, or the image with \
             `--build-arg FEATURES=transcribe-cpp`; or name a Whisper model in MODEL",
};

pub static CPU_TOO_OLD: Problem = Problem {
    code: "cpu-too-old",
    title: "Illegal instruction, SIGILL, status 132: this CPU lacks what the build needs",
    why: "The program was built for another CPU, or the virtual machine hides what its CPU can do.",
    remedy: "build stenogram on this machine, or take the portable image; in a Proxmox VM choose the CPU type host",
};

pub static GPU_MISSING: Problem = Problem {
    code: "gpu-missing",
    title: "This is a build for GPUs, and none is found",
    why: "The driver is missing, or the GPU is not handed to the container. The CPU recognises meanwhile, which is \
          slower.",
    remedy: "install the driver, and hand the GPU to the container, as docs/INSTALL.md says",
};

pub static TOO_MANY_THREADS: Problem = Problem {
    code: "too-many-threads",
    title: "THREADS is more than there are cores for stenogram",
    why: "Threads beyond the cores that the process may use would make recognition 10 to 50 times slower, so they \
          are not used.",
    remedy: "set THREADS=<cores> or less, or leave it out; or give the container more cores",
};

pub static RECOGNITION_FAILED: Problem = Problem {
    code: "recognition-failed",
    title: "whisper.cpp or transcribe.cpp failed, or the recognition thread is gone",
    why: "Mostly there was no memory for it; otherwise it is a fault of stenogram, whisper.cpp or transcribe.cpp.",
    remedy: "see that there is memory, and restart stenogram; if it happens again, report it with the last lines of \
             the log",
};

pub static RECOGNISER_AWAY: Problem = Problem {
    code: "recogniser-away",
    title: "A recogniser cannot be reached (connection refused, timeout), is not ready, or is asked too much",
    why: "It is off, still starting, or not at that address; or it takes only so many requests (429). The next \
          recogniser in the list is asked instead. Without one the messages wait, and nothing is lost.",
    remedy: "start it, or correct RECOGNISER; `stenogram doctor` asks it; RECOGNISER=<address>,local recognises on \
             this machine meanwhile",
};

pub static RECOGNISER_REFUSES: Problem = Problem {
    code: "recogniser-refuses",
    title: "A recogniser refuses: 401, 403, 404, no quota left, a redirect, or its certificate is not valid",
    why: "The key is wrong or missing, the account has no money, the server has no such model or address, or its \
          certificate is signed neither by a public authority nor by one in RECOGNISER_CA. The next recogniser in the list is asked instead. Without one the messages wait.",
    remedy: "correct RECOGNISER (most addresses end in /v1), RECOGNISER_KEY or RECOGNISER_MODEL; `stenogram doctor` \
             shows which models it has",
};

pub static RECOGNISER_CA: Problem = Problem {
    code: "recogniser-ca",
    title: "The file of RECOGNISER_CA cannot be used: it holds no certificate, or cannot be read",
    why: "It has to hold the certificates of the authorities that sign those of your servers, in the form of PEM. \
          A container and the systemd service see other folders than you do.",
    remedy: "name the PEM file of your authority, not the key or the certificate of the server; without \
             RECOGNISER_CA the public authorities are trusted",
};

pub static RECOGNISER_FAILED: Problem = Problem {
    code: "recogniser-failed",
    title: "A recogniser failed: 500, no answer in time, half an answer, or one that makes no sense",
    why: "The server has a fault, is too slow for RECOGNISER_TIMEOUT, or will not have this recording (400, 413, \
          422). It is tried again, less and less often; after ten attempts the message is given up and kept.",
    remedy: "read the log of that server; a slow one needs a longer RECOGNISER_TIMEOUT or a smaller model",
};

pub static RECOGNISER_PUBLIC: Problem = Problem {
    code: "recogniser-public",
    title: "RECOGNISER is not on the local network: what is said in your messages is sent there",
    why: "The host of that address is neither this machine nor on a private network. Whoever runs it can hear what \
          it is sent, and may keep it.",
    remedy: "if you did not mean that, set RECOGNISER=local or the address of a machine of your own",
};
