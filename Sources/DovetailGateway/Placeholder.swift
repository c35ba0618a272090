import JWTKit
import NIOPosix
