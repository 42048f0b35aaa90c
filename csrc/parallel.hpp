// Work in pieces for several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace mcalc {

// Calls work(0), ..., work(pieces - 1), each once, on up to `threads` threads, this one among them.
// The first exception that a piece throws is thrown here, after all threads have ended.
template <typename Work>
void in_parallel(std::ptrdiff_t pieces, int threads, const Work& work) {
    std::atomic<std::ptrdiff_t> next{0};
    std::exception_ptr failure;
    std::mutex failing;
    const auto take_pieces = [&] {
        try {
            for (std::ptrdiff_t piece; (piece = next++) < pieces;) work(piece);
        } catch (...) {
            const std::lock_guard lock(failing);
            if (!failure) failure = std::current_exception();
        }
    };
    std::vector<std::thread> helpers;
    const auto wanted = std::min<std::ptrdiff_t>(threads, pieces) - 1;
    try {
        for (std::ptrdiff_t i = 0; i < wanted; ++i) helpers.emplace_back(take_pieces);
    } catch (const std::system_error&) {
        // No more threads to be had: those there are do the work.
    }
    take_pieces();
    for (std::thread& helper : helpers) helper.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace mcalc
