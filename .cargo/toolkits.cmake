# What stenogram's features for GPUs and for OpenBLAS want, said before whisper.cpp's own build fails over the lack of it.
# whisper-rs-sys hands CMAKE_PROJECT_INCLUDE_BEFORE on (see config.toml beside this file).

function(stenogram_wants feature what)
    message(FATAL_ERROR "stenogram's feature ${feature} wants ${what}")
endfunction()

if(GGML_CUDA)
    find_program(STENOGRAM_NVCC nvcc
        HINTS ENV CUDACXX ENV CUDA_PATH ENV CUDA_HOME ENV CUDAToolkit_ROOT /usr/local/cuda /opt/cuda PATH_SUFFIXES bin)
    if(NOT STENOGRAM_NVCC AND NOT EXISTS "$ENV{CUDACXX}")
        stenogram_wants(cuda "NVIDIA's CUDA toolkit, whose compiler nvcc is not in PATH: install it (Debian, Ubuntu: nvidia-cuda-toolkit), or set CUDA_PATH to its folder")
    endif()
endif()

if(GGML_HIP)
    # whisper-rs-sys asks for it by this name alone.
    find_program(STENOGRAM_HIPCC hipcc)
    if(NOT STENOGRAM_HIPCC)
        stenogram_wants(hipblas "AMD's ROCm, whose compiler hipcc is not in PATH: install it with hipblas and rocblas, and put its folder bin into PATH")
    endif()
endif()

if(GGML_VULKAN)
    # What was found the last time may have been too old.
    unset(STENOGRAM_VULKAN CACHE)
    find_program(STENOGRAM_GLSLC glslc HINTS ENV VULKAN_SDK PATH_SUFFIXES bin)
    find_path(STENOGRAM_VULKAN vulkan/vulkan.h HINTS ENV VULKAN_SDK /usr/include /usr/local/include PATH_SUFFIXES include)
    if(NOT STENOGRAM_GLSLC OR NOT STENOGRAM_VULKAN)
        stenogram_wants(vulkan "the compiler glslc and the headers of Vulkan: apt-get install glslc libvulkan-dev, or LunarG's Vulkan SDK with VULKAN_SDK set to its folder")
    endif()
    # ggml-vulkan.cpp uses it whatever there is; headers before 2024 have no such thing.
    set(STENOGRAM_VULKAN_KNOWS)
    if(EXISTS ${STENOGRAM_VULKAN}/vulkan/vulkan_core.h)
        file(STRINGS ${STENOGRAM_VULKAN}/vulkan/vulkan_core.h STENOGRAM_VULKAN_KNOWS LIMIT_COUNT 1 REGEX VK_EXT_layer_settings)
    endif()
    if(NOT STENOGRAM_VULKAN_KNOWS)
        stenogram_wants(vulkan "newer headers of Vulkan than those in ${STENOGRAM_VULKAN}, which lack VK_EXT_layer_settings: Debian 13 has them and Debian 12 has not; or LunarG's Vulkan SDK with VULKAN_SDK set to its folder")
    endif()
endif()

if(GGML_METAL AND NOT CMAKE_HOST_APPLE)
    stenogram_wants(metal "a Mac; for other GPUs there are cuda, hipblas and vulkan")
endif()

if(GGML_BLAS AND GGML_BLAS_VENDOR STREQUAL OpenBLAS)
    find_path(STENOGRAM_CBLAS cblas.h HINTS ${BLAS_INCLUDE_DIRS} NO_DEFAULT_PATH)
    if(NOT STENOGRAM_CBLAS)
        stenogram_wants(openblas "OpenBLAS (apt-get install libopenblas-dev), and BLAS_INCLUDE_DIRS set to the folder of its cblas.h, which is not in ${BLAS_INCLUDE_DIRS}")
    endif()
endif()
