//! The kinds of libtorch's errors.

use faa_search::backend::BackendError;
use tch::TchError;

/// What libtorch, CUDA, cuBLAS and cuDNN report if a GPU has too little memory.
const OUT_OF_MEMORY: [&str; 2] = ["out of memory", "STATUS_ALLOC_FAILED"];

/// For `map_err`.
pub(crate) fn torch(error: TchError) -> BackendError {
    let message = error.to_string();
    match OUT_OF_MEMORY.iter().any(|it| message.contains(it)) {
        true => BackendError::out_of_memory(error),
        false => BackendError::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use faa_search::backend::BackendErrorKind;

    #[test]
    fn a_lack_of_memory_is_told_apart() {
        for (message, kind) in [
            (
                "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of …",
                BackendErrorKind::OutOfMemory,
            ),
            (
                "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                BackendErrorKind::OutOfMemory,
            ),
            ("CUDA error: misaligned address", BackendErrorKind::Other),
        ] {
            let error = torch(TchError::Torch(message.to_owned()));
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
