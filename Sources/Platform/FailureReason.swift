// Foundation's errors as a clause, to stand behind the name of what failed.

import Foundation

/// The system's words for an error code.
package func systemMessage(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }

/// Why an operation on a file failed, without the file's name where the system tells the reason alone, and without a
/// full stop.
package func failureReason(_ error: any Error) -> String {
  let error = error as NSError
  let underlying = (error.userInfo[NSUnderlyingErrorKey] as? NSError) ?? error
  if underlying.domain == NSPOSIXErrorDomain {
    return unsafe String(cString: strerror(Int32(underlying.code)))
  }
  let text = error.localizedDescription
  return text.hasSuffix(".") ? String(text.dropLast()) : text
}
