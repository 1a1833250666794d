"""What follows from a pass that has ended and does not end the reading: why it is repeated, or why nothing can be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiozilliz._pagination.decisions import Cause, Repetition

if TYPE_CHECKING:
    from aiozilliz._pagination.one_pass import Pass
    from aiozilliz._pagination.proof import Proof


def why_repeated(this: Pass, proof: Proof[Any] | None) -> tuple[Repetition, ...]:
    """Return why a pass has to be repeated; nothing if it has not ended and was clean so far.

    Args:
        this: The pass.
        proof: Of the reading, if one is wanted.
    """
    if this.repetition is not None:
        return (this.repetition,)
    if proof is None or not this.ended:
        return ()
    # The pass was clean, but `verify` wants more than that. It is no contradiction, unless the proof met one, in this
    # pass or before.
    unproven = Repetition(
        pass_number=this.number,
        page_number=this.at,
        cause=Cause.CONTRADICTED if proof.contradicted else Cause.UNPROVEN,
        count=this.count,
        received=len(this.seen),
    )
    return (unproven,)


def why_hopeless(
    this: Pass, before: Pass | None, proof: Proof[Any] | None, *, max_passes: int, cached: int
) -> str | None:
    """Return why the list is not read again after a pass that was not clean, or did not bring the proof.

    Args:
        this: The pass.
        before: The one before it.
        proof: Of the reading, if one is wanted.
        max_passes: Passes after which to give up.
        cached: Responses that a cache gave.

    Returns:
        The end of a sentence; None if another pass may help.
    """
    # 1. The list rests, but is not as long as count says. Only forward passes are asked: a backward one takes the end
    #    of the list over from the pass before, so the two would agree by themselves.
    wrong = this.step > 0 and this.count is not None and this.count != len(this.seen)
    if wrong and before is not None and this.counts == before.counts and this.seen == before.seen:
        return "two passes in a row agree with each other, but not with the count"
    # 2. The list moved, or the proof is not complete.
    if this.number < max_passes:
        return None
    # 3. The passes are used up.
    if proof is None:
        return f"in each of {this.number} passes the list changed, or contradicted itself"
    if proof.contradicted:
        return "counts and pages contradict each other, so nothing can be proven"
    why = f", as {cached} responses came from a cache" if cached else ""
    return f"{this.number} passes did not bring the proof{why}"
