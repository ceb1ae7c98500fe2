package import Jobs

/// Whether a job, as clients are shown it, is as the one has read it that wants to change it: asked in
/// one step with the change.
package typealias JobCondition = @Sendable (Job) -> Bool

/// What has come of a change of a job that a client wanted.
package enum ChangeOutcome: Sendable {
    /// It is made, or there was nothing to change: the job as it stands now.
    case made(Job)
    /// The change is for jobs that have ended, as this one has not: it is left alone.
    case notEnded(Job)
    /// The job does not meet the condition, and is left alone.
    case conditionFailed

    /// The job that is changed; nil when it is left alone.
    package var changed: Job? {
        if case .made(let job) = self { job } else { nil }
    }
}
