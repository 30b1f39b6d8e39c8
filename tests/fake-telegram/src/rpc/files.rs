//! Files, in parts.

use grammers_tl_types::{enums, functions as f, types};

use super::{Answer, Context, RpcError};
use crate::faults::Action;
use crate::world::peers::access_hash;

/// Offsets and limits are multiples of this, in bytes; with `precise`, of 1024
/// (<https://core.telegram.org/api/files#downloading-files>).
const GRAIN: i64 = 4096;
const PRECISE_GRAIN: i64 = 1024;
/// No part is longer than this, nor crosses a multiple of it.
const WINDOW: i64 = 1024 * 1024;

pub fn get_file(context: &mut Context, request: f::upload::GetFile) -> Answer<f::upload::GetFile> {
    check_range(request.offset, i64::from(request.limit), request.precise)?;
    let enums::InputFileLocation::InputDocumentFileLocation(location) = &request.location else {
        return Err(RpcError::bad_request("LOCATION_INVALID"));
    };
    let files = &context.world.files;
    let file = files.get(location.id).filter(|file| location.access_hash == access_hash(file.id));
    let file = file.ok_or_else(|| RpcError::bad_request("LOCATION_INVALID"))?;
    if file.dc != context.dc {
        return Err(RpcError::new(303, format!("FILE_MIGRATE_{}", file.dc)));
    }
    if location.file_reference != files.reference(file.id) {
        return Err(RpcError::bad_request("FILE_REFERENCE_EXPIRED"));
    }
    let end = match context.action {
        Some(Action::TruncateFile(length)) => length.min(file.bytes.len()),
        _ => file.bytes.len(),
    };
    // Neither is negative, as checked above.
    let start = usize::try_from(request.offset).unwrap_or(end).min(end);
    let stop = start.saturating_add(usize::try_from(request.limit).unwrap_or(0)).min(end);
    let bytes = file.bytes[start..stop].to_vec();
    let r#type = enums::storage::FileType::FileUnknown;
    Ok(types::upload::File { r#type, mtime: file.date, bytes }.into())
}

fn check_range(offset: i64, limit: i64, precise: bool) -> Result<(), RpcError> {
    let grain = if precise { PRECISE_GRAIN } else { GRAIN };
    if limit <= 0 || limit % grain != 0 || limit > WINDOW || (!precise && WINDOW % limit != 0) {
        return Err(RpcError::bad_request("LIMIT_INVALID"));
    }
    if offset < 0 || offset % grain != 0 {
        return Err(RpcError::bad_request("OFFSET_INVALID"));
    }
    if offset / WINDOW != offset.saturating_add(limit - 1) / WINDOW {
        return Err(RpcError::bad_request("LIMIT_INVALID"));
    }
    Ok(())
}

pub fn save_file_part(
    context: &mut Context,
    request: f::upload::SaveFilePart,
) -> Answer<f::upload::SaveFilePart> {
    save(context, request.file_id, request.file_part, request.bytes)
}

pub fn save_big_file_part(
    context: &mut Context,
    request: f::upload::SaveBigFilePart,
) -> Answer<f::upload::SaveBigFilePart> {
    save(context, request.file_id, request.file_part, request.bytes)
}

fn save(context: &mut Context, id: i64, part: i32, bytes: Vec<u8>) -> Result<bool, RpcError> {
    if context.world.files.save_part(id, part, bytes) {
        Ok(true)
    } else {
        Err(RpcError::bad_request("FILE_PART_TOO_BIG"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_as_telegram_does() {
        for (offset, limit) in [(0, 4096), (4096, 4096), (1 << 19, 1 << 19), (1 << 20, 1 << 20)] {
            assert_eq!(check_range(offset, limit, false), Ok(()), "{offset} {limit}");
        }
        let bad = [(1, 4096), (-4096, 4096), (0, 0), (0, 5000), (0, 12288), (0, 1 << 21), (4096, 1 << 20)];
        for (offset, limit) in bad {
            assert!(check_range(offset, limit, false).is_err(), "{offset} {limit}");
        }
        assert_eq!(check_range(1024, 3072, true), Ok(()));
        assert!(check_range(i64::MAX - i64::MAX % 4096, 4096, false).is_ok());
    }
}
