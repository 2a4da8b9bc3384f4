// Where C++ exceptions end.
#pragma once

#include "cfaiss.h"

#include <faiss/impl/FaissException.h>

#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>

inline void say(cfaiss_message message, const char *text) {
    if (message.bytes != nullptr && message.capacity > 0) {
        std::snprintf(message.bytes, message.capacity, "%s", text);
    }
}

/// Runs `body` and turns whatever it throws into a status and a message.
template <typename Body>
cfaiss_status guarded(cfaiss_message message, Body body) noexcept {
    try {
        body();
        return CFAISS_OK;
    } catch (const faiss::FaissException &error) {
        say(message, error.msg.c_str());
        return CFAISS_REFUSED;
    } catch (const std::bad_alloc &) {
        say(message, "out of memory");
        return CFAISS_OUT_OF_MEMORY;
    } catch (const std::length_error &) {
        say(message, "a size that no memory can hold");
        return CFAISS_REFUSED;
    } catch (const std::exception &error) {
        say(message, error.what());
        return CFAISS_UNEXPECTED;
    } catch (...) {
        say(message, "an exception of unknown type");
        return CFAISS_UNEXPECTED;
    }
}
