"""What a street is drawn from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class StreetConfig(BaseModel):
    """What is likely in a street; every seed draws its own street from it.

    Attributes:
        traffic: Occupancy of the lanes, 0..1.
        parked: Occupancy of the parking lane.
        pedestrians: Occupancy of pavements and crossings.
        cyclists: Occupancy of the cycle lane.
        trucks: Share of trucks among vehicles.
        emergency: Share of emergency vehicles among moving vehicles.
        followers: Probability of an emergency vehicle behind the camera's back, where only sound tells of it.
        siren: Share of its time that an emergency vehicle has its siren on.
        horn: Probability of a horn blast in each three seconds.
        dark: Share of objects that swallow most lidar returns.
        night: Probability of night.
        fog: Probability of fog.
        range_m: The vehicle ahead keeps at least the first distance, objects appear at the second.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    traffic: float = Field(0.6, ge=0, le=1)
    parked: float = Field(0.4, ge=0, le=1)
    pedestrians: float = Field(0.5, ge=0, le=1)
    cyclists: float = Field(0.6, ge=0, le=1)
    trucks: float = Field(0.25, ge=0, le=1)
    emergency: float = Field(0.25, ge=0, le=1)
    followers: float = Field(0.25, ge=0, le=1)
    siren: float = Field(0.35, ge=0, le=1)
    horn: float = Field(0.8, ge=0, le=1)
    dark: float = Field(0.2, ge=0, le=1)
    night: float = Field(0.25, ge=0, le=1)
    fog: float = Field(0.15, ge=0, le=1)
    range_m: tuple[float, float] = (4.0, 55.0)

    @model_validator(mode="after")
    def _range_is_ordered(self) -> StreetConfig:
        nearest, farthest = self.range_m
        if not (1.0 <= nearest < farthest - 20.0 and farthest <= 75.0):
            raise ValueError("range_m must start at 1 m or more, span 20 m at least and end within 75 m")
        return self
