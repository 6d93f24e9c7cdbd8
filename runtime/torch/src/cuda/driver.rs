//! CUDA's compiler and driver, as far as kernels need them.
#![expect(unsafe_code, reason = "the compiler and the driver are C libraries")]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;
use tch::TchError;

use crate::device::beside_libtorch;

/// The library of libtorch that depends on both.
const LIBRARY: &str = "libcaffe2_nvrtc.so";

/// The functions that are used, by their names in NVIDIA's documentation. All return 0 on success.
pub(super) struct Driver {
    create_program: unsafe extern "C" fn(
        *mut *mut c_void,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile_program: unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int,
    destroy_program: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
    log_size: unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int,
    log: unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int,
    cubin_size: unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int,
    cubin: unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int,
    get_device: unsafe extern "C" fn(*mut c_int) -> c_int,
    device_attribute: unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int,
    load_module: unsafe extern "C" fn(*mut *mut c_void, *const c_void) -> c_int,
    get_function: unsafe extern "C" fn(*mut *mut c_void, *mut c_void, *const c_char) -> c_int,
    launch: unsafe extern "C" fn(
        *mut c_void,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        *mut c_void,
        *mut *mut c_void,
        *mut *mut c_void,
    ) -> c_int,
}

/// A function of a loaded module, which stays loaded until the process ends.
#[derive(Clone, Copy)]
pub(super) struct Function(*mut c_void);

// SAFETY: The handle refers to immutable code, and the driver's functions may be called from any thread.
unsafe impl Send for Function {}
// SAFETY: As above.
unsafe impl Sync for Function {}

/// What kernels need to know of a device.
pub(super) struct Properties {
    /// Its number, which is also libtorch's.
    pub(super) device: usize,
    /// The compute capability, `[major, minor]`.
    pub(super) capability: [i32; 2],
    pub(super) multiprocessors: u32,
}

impl Driver {
    /// The library, which is loaded at the first call. Libtorch's CUDA library must be loaded.
    pub(super) fn get() -> Result<&'static Self, TchError> {
        static DRIVER: OnceLock<Result<Driver, String>> = OnceLock::new();
        let driver = DRIVER.get_or_init(Self::load).as_ref();
        driver.map_err(|error| TchError::Torch(format!("cannot load {LIBRARY}: {error}")))
    }

    fn load() -> Result<Self, String> {
        let path = beside_libtorch(LIBRARY).ok_or("the libtorch in use cannot be located")?;
        // SAFETY: It is a library of the libtorch in use, and is never unloaded.
        let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
        let library: &'static Library = Box::leak(Box::new(library));
        /// A function of the library or of those that it depends on.
        ///
        /// # Safety
        ///
        /// `F` must be its type.
        unsafe fn function<F: Copy>(library: &Library, name: &str) -> Result<F, String> {
            // SAFETY: The caller guarantees the type.
            let symbol = unsafe { library.get::<F>(name.as_bytes()) };
            Ok(*symbol.map_err(|error| error.to_string())?)
        }
        // SAFETY: The types are those of NVIDIA's headers of CUDA 13. The versions `_v2` of functions are
        // not among them.
        unsafe {
            Ok(Self {
                create_program: function(library, "nvrtcCreateProgram")?,
                compile_program: function(library, "nvrtcCompileProgram")?,
                destroy_program: function(library, "nvrtcDestroyProgram")?,
                log_size: function(library, "nvrtcGetProgramLogSize")?,
                log: function(library, "nvrtcGetProgramLog")?,
                cubin_size: function(library, "nvrtcGetCUBINSize")?,
                cubin: function(library, "nvrtcGetCUBIN")?,
                get_device: function(library, "cuCtxGetDevice")?,
                device_attribute: function(library, "cuDeviceGetAttribute")?,
                load_module: function(library, "cuModuleLoadData")?,
                get_function: function(library, "cuModuleGetFunction")?,
                launch: function(library, "cuLaunchKernel")?,
            })
        }
    }

    /// The properties of the calling thread's current device.
    pub(super) fn properties(&self) -> Result<Properties, TchError> {
        let mut device = 0;
        // SAFETY: `device` is written.
        check("cuCtxGetDevice", unsafe {
            (self.get_device)(&raw mut device)
        })?;
        let attribute = |number: c_int| {
            let mut value = 0;
            // SAFETY: `value` is written.
            let status = unsafe { (self.device_attribute)(&raw mut value, number, device) };
            check("cuDeviceGetAttribute", status).map(|()| value)
        };
        // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR and _MULTIPROCESSOR_COUNT.
        Ok(Properties {
            device: device.unsigned_abs() as usize,
            capability: [attribute(75)?, attribute(76)?],
            multiprocessors: attribute(16)?.unsigned_abs(),
        })
    }

    /// Compiles CUDA C++ to machine code for a device.
    pub(super) fn compile(&self, source: &CStr, options: &[String]) -> Result<Vec<u8>, TchError> {
        let options: Vec<CString> = (options.iter())
            .map(|option| CString::new(option.as_str()).expect("options have no NUL"))
            .collect();
        let options: Vec<*const c_char> = options.iter().map(|it| it.as_ptr()).collect();
        let (count, mut program) = (options.len() as c_int, ptr::null_mut());
        let (name, none) = (c"kernels.cu".as_ptr(), ptr::null());
        // SAFETY: The strings end with NUL and outlive the calls, there are `count` options, and the
        // buffers have the sizes that the library states. The program is destroyed once, at the end.
        unsafe {
            let created = &raw mut program;
            let status = (self.create_program)(created, source.as_ptr(), name, 0, none, none);
            check("nvrtcCreateProgram", status)?;
            let status = (self.compile_program)(program, count, options.as_ptr());
            let result = if status == 0 {
                read(self.cubin_size, self.cubin, program)
            } else {
                let log = read(self.log_size, self.log, program)?;
                let log = String::from_utf8_lossy(&log).into_owned();
                Err(TchError::Torch(format!(
                    "NVRTC cannot compile the kernels: {log}"
                )))
            };
            (self.destroy_program)(&raw mut program);
            result
        }
    }

    /// Loads machine code into the current device, for as long as the process runs, and finds functions in
    /// it.
    pub(super) fn load_functions<const N: usize>(
        &self,
        cubin: &[u8],
        names: [&CStr; N],
    ) -> Result<[Function; N], TchError> {
        let mut module = ptr::null_mut();
        // SAFETY: `cubin` is what NVRTC returned, which states its own size.
        check("cuModuleLoadData", unsafe {
            (self.load_module)(&raw mut module, cubin.as_ptr().cast())
        })?;
        let mut functions = [Function(ptr::null_mut()); N];
        for (function, name) in functions.iter_mut().zip(names) {
            // SAFETY: The module is loaded, and the name ends with NUL.
            check("cuModuleGetFunction", unsafe {
                (self.get_function)(&raw mut function.0, module, name.as_ptr())
            })?;
        }
        Ok(functions)
    }

    /// Launches a function on a stream of the current device.
    ///
    /// # Safety
    ///
    /// The function must take as many arguments as there are, each of the stated size, and may access
    /// only memory that lives until it has been executed, with no other access in between.
    pub(super) unsafe fn launch(
        &self,
        function: Function,
        [blocks, more_blocks]: [u32; 2],
        threads: u32,
        stream: *mut c_void,
        arguments: &[Argument],
    ) -> Result<(), TchError> {
        let mut pointers: Vec<*mut c_void> = (arguments.iter())
            .map(|argument| match argument {
                Argument::Pointer(pointer) => ptr::from_ref(pointer).cast_mut().cast(),
                Argument::Int(value) => ptr::from_ref(value).cast_mut().cast(),
            })
            .collect();
        // SAFETY: The caller guarantees the arguments; the driver copies them during the call.
        check("cuLaunchKernel", unsafe {
            (self.launch)(
                function.0,
                blocks,
                more_blocks,
                1,
                threads,
                1,
                1,
                0,
                stream,
                pointers.as_mut_ptr(),
                ptr::null_mut(),
            )
        })
    }
}

/// An argument of a kernel.
pub(super) enum Argument {
    Pointer(*mut c_void),
    Int(c_int),
}

/// Reads bytes of a program into a buffer of the size that NVRTC states.
///
/// # Safety
///
/// Both functions must be for the same bytes, and the program must exist.
unsafe fn read(
    size_of: unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int,
    read: unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int,
    program: *mut c_void,
) -> Result<Vec<u8>, TchError> {
    let mut size = 0;
    // SAFETY: The caller guarantees the program, and the buffer has the stated size.
    unsafe {
        check("NVRTC", size_of(program, &raw mut size))?;
        let mut bytes = vec![0_u8; size];
        check("NVRTC", read(program, bytes.as_mut_ptr().cast()))?;
        Ok(bytes)
    }
}

fn check(function: &str, status: c_int) -> Result<(), TchError> {
    match status {
        0 => Ok(()),
        status => {
            // CUDA_ERROR_OUT_OF_MEMORY.
            let meaning = if status == 2 { " (out of memory)" } else { "" };
            let message = format!("{function} of CUDA failed with status {status}{meaning}");
            Err(TchError::Torch(message))
        }
    }
}
