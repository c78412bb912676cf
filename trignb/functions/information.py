"""What INFO says of libraries. See docs/semantics.md, INFO."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from trignb.engine.stats import ModuleSection

if TYPE_CHECKING:
    from trignb.functions.library import Library
    from trignb.functions.registry import Registry

__all__ = ["MODULE", "info_sections", "isolate_counts"]

MODULE: Final = "redisgears_2"


def info_sections(registry: Registry) -> list[ModuleSection]:
    """Return the sections of one engine's registry."""

    def uninitialised() -> Mapping[str, str]:
        # V8 is loaded with the first library.
        return {} if registry.is_initialised else {"js": "not loaded"}

    def per_library() -> Mapping[str, str]:
        return {
            hashlib.sha256(library.name.encode()).hexdigest(): _describe(library)
            for library in registry.libraries.values()
        }

    return [
        ModuleSection(MODULE, "UninitialisedBackends", uninitialised),
        ModuleSection(
            MODULE, "V8AggregatedLibraryStatistics", partial(isolate_counts, registry)
        ),
        ModuleSection(MODULE, "PerLibraryInformation", per_library),
    ]


def isolate_counts(registry: Registry) -> dict[str, int]:
    """Return how many isolates there are and the heap of those in use, in bytes."""
    in_use = registry.runtimes()
    heaps = [runtime.heap_statistics() for runtime in in_use]
    held = list(registry.isolates.are_in_use(in_use))
    total = sum(heap.total for heap in heaps)
    return {
        "active": sum(held),
        "not_active": held.count(False),
        # What V8 has reserved: the original limits an isolate to what it has and grows it.
        "combined_memory_limit": total,
        "total_heap_size": total,
        "used_heap_size": sum(heap.used for heap in heaps),
    }


def _describe(library: Library) -> str:
    functions = list(library.functions.values())
    n_async = sum(function.is_async for function in functions)
    heap = library.runtime.heap_statistics()
    facts = {
        "function_count(sync)": len(functions) - n_async,
        "function_count(async)": n_async,
        "notification_consumers_count": len(library.triggers),
        "stream_consumers_count": len(library.stream_triggers),
        "api_version": library.api_version,
        "pending_jobs_count": library.pending_jobs,
        "pending_async_calls_count": len(library.host.pending_calls),
        "cluster_functions_count": len(library.cluster_functions),
        "total_heap_size": heap.total,
        "used_heap_size": heap.used,
        "heap_size_limit": heap.limit,
    }
    return ",".join(f"{name}={value}" for name, value in facts.items())
