internal import CFaiss

/// What FAISS refused, in its own words.
package struct FaissError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable {
        case refused
        case outOfMemory
        case unexpected
    }

    package let kind: Kind
    package let message: String

    package var description: String { "FAISS: \(message)" }

    /// Runs one call of the shim and throws what it reports.
    static func check(_ call: (cfaiss_message) -> cfaiss_status) throws(FaissError) {
        let capacity = 512
        var status = CFAISS_OK
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer -> String in
            buffer.initialize(repeating: 0)
            status = call(cfaiss_message(bytes: buffer.baseAddress, capacity: capacity))
            guard status != CFAISS_OK, let bytes = buffer.baseAddress else { return "" }
            return String(cString: bytes)
        }
        switch status {
        case CFAISS_OK: return
        case CFAISS_REFUSED: throw FaissError(kind: .refused, message: text)
        case CFAISS_OUT_OF_MEMORY: throw FaissError(kind: .outOfMemory, message: text)
        default: throw FaissError(kind: .unexpected, message: text)
        }
    }
}
