/// Why one row is refused; the import goes on.
package struct RowFault: Error, Equatable {
    package let code: ErrorCode
    package let detail: String

    package init(_ code: ErrorCode, _ detail: String) {
        self.code = code
        self.detail = detail
    }
}
