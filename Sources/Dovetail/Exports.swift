// One import for a platform's author: everything a module, its tests and its tools are written with.
@_exported import DovetailCQRS
@_exported import DovetailContracts
@_exported import DovetailCore
@_exported import DovetailEvents
@_exported import DovetailHTTP
@_exported import DovetailModules
@_exported import DovetailObservability
@_exported import DovetailPlatform
@_exported import DovetailPrivacy
@_exported import DovetailResilience
@_exported import DovetailSagas
