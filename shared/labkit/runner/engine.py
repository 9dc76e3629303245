"""papermill's engine without its waits: notebooks are saved now and then, kernels start and end without long polls.

Of a lab with 45 cells it takes 2 s to 0.5 s what goes on around its cells.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from labkit.runner.lean import spared

with spared():
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.manager import AsyncKernelManager
    from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

NAME = "labs"
# papermill saves twice for each cell. A notebook with its figures takes 15 ms to check and to write.
_SAVE_SECONDS = 5.0
_POLL_SECONDS = 0.02
# A cold kernel's sockets are there after 1 s; later, it is left to ZeroMQ.
_SOCKET_SECONDS = 20.0


class _Client(AsyncKernelClient):  # type: ignore[misc]
    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """As in the base class, which in the end waits 0.2 s for output that nobody has asked for."""
        channel = self.iopub_channel
        kept = channel.get_msg

        async def get_msg(timeout: float | None = None) -> Any:
            return await kept(timeout=min(timeout or _POLL_SECONDS, _POLL_SECONDS))

        channel.get_msg = get_msg
        try:
            await super().wait_for_ready(timeout)
        finally:
            channel.get_msg = kept


class _KernelManager(AsyncKernelManager):  # type: ignore[misc]
    async def _async_post_start_kernel(self, **options: Any) -> None:
        """Returns when the kernel's sockets are there: ZeroMQ tries one that is not again after 0.1 s."""
        await super()._async_post_start_kernel(**options)
        sockets = [Path(f"{self.ip}-{port}") for port in (self.shell_port, self.iopub_port, self.control_port)]
        end = time.monotonic() + _SOCKET_SECONDS
        while not all(path.exists() for path in sockets) and await self._async_is_alive() and time.monotonic() < end:
            await asyncio.sleep(_POLL_SECONDS / 4)

    post_start_kernel = _async_post_start_kernel

    async def _async_finish_shutdown(
        self, waittime: float | None = None, pollinterval: float = _POLL_SECONDS, restart: bool = False
    ) -> None:
        await super()._async_finish_shutdown(waittime, pollinterval, restart)


class _Manager(NotebookExecutionManager):  # type: ignore[misc]
    def save(self, **_: Any) -> None:
        if (self.now() - self.last_save_time).total_seconds() >= _SAVE_SECONDS:
            super().save()


class _Engine(NBClientEngine):  # type: ignore[misc]
    @classmethod
    def execute_notebook(
        cls, nb: Any, kernel_name: str, output_path: str | None = None, log_output: bool = False, **options: Any
    ) -> Any:
        """Executes the notebook. papermill saves what comes back; what is raised here (a time-out, a dead kernel)
        passes it by, so the notebook is saved before."""
        options.pop("progress_bar", None)
        options["config"].AsyncKernelManager.client_factory = _Client
        manager = _Manager(nb, output_path, log_output, progress_bar=False)
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(
                manager, kernel_name, log_output=log_output, kernel_manager_class=_KernelManager, **options
            )
        except BaseException:
            manager.notebook_complete()
            NotebookExecutionManager.save(manager)
            raise
        manager.notebook_complete()
        return manager.nb


papermill_engines.register(NAME, _Engine)
